package ledger

import (
	"fmt"
	"math"
	"math/big"
)

// Units is a sum of increments: an exact integer of any size. The zero value is 0.
//
// It is an immutable value and can be printed with %v, %s and %d. Sums below 2^63, nearly all, need no allocation.
type Units struct {
	small int64
	// large holds a sum that does not fit into small, and is nil otherwise. It never changes.
	large *big.Int
}

// UnitsOf makes a Units of an integer.
func UnitsOf(n int64) Units { return Units{small: n} }

// unitsOf makes a Units of an integer, which must not change afterwards.
func unitsOf(n *big.Int) Units {
	if n.IsInt64() {
		return Units{small: n.Int64()}
	}
	return Units{large: n}
}

// Int64 returns the sum and true, or the nearest int64 and false.
func (u Units) Int64() (n int64, fits bool) {
	if u.large == nil {
		return u.small, true
	}
	if u.large.Sign() < 0 {
		return math.MinInt64, false
	}
	return math.MaxInt64, false
}

// Float64 returns the nearest floating-point number.
func (u Units) Float64() float64 {
	if u.large == nil {
		return float64(u.small)
	}
	nearest, _ := new(big.Float).SetInt(u.large).Float64()
	return nearest
}

// Big returns the sum as a new big.Int.
func (u Units) Big() *big.Int {
	if u.large == nil {
		return big.NewInt(u.small)
	}
	return new(big.Int).Set(u.large)
}

// Compare returns -1, 0 or 1 as u is less than, equal to or greater than other.
//
// Use it, not ==.
func (u Units) Compare(other Units) int {
	if u.large == nil && other.large == nil {
		switch {
		case u.small < other.small:
			return -1
		case u.small > other.small:
			return 1
		}
		return 0
	}
	return u.Big().Cmp(other.Big())
}

// String returns the sum in decimal digits.
func (u Units) String() string {
	if u.large == nil {
		return fmt.Sprint(u.small)
	}
	return u.large.String()
}

// Format implements fmt.Formatter, so that %d works as for any integer.
func (u Units) Format(state fmt.State, verb rune) {
	if verb == 's' || verb == 'v' {
		verb = 'd'
	}
	u.Big().Format(state, verb)
}

// MarshalJSON writes the sum as a JSON integer.
func (u Units) MarshalJSON() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalJSON reads a JSON integer of any size.
//
// Null leaves the value unchanged, as usual in Go.
func (u *Units) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	// A ledger sends no more digits than this, and parsing them would take long.
	const digitsMax = 1000
	if len(text) > digitsMax {
		return fmt.Errorf("ledger: an integer of %d digits is too long", len(text))
	}
	value, ok := new(big.Int).SetString(string(text), 10)
	if !ok {
		return fmt.Errorf("ledger: %q is not an integer", text)
	}
	*u = unitsOf(value)
	return nil
}
