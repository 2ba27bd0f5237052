package ledger

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
)

func TestUnitsOfAnySizeAreExact(t *testing.T) {
	for text, fits := range map[string]bool{
		"0": true, "-7": true, "9007199254740993": true, "9223372036854775807": true, "9223372036854775808": false,
		"-9223372036854775809": false, "123456789012345678901234567890123456789012345678901234567890": false,
	} {
		var units Units
		must(t, json.Unmarshal([]byte(text), &units))
		written, err := json.Marshal(units)
		must(t, err)
		if string(written) != text || units.String() != text || fmt.Sprintf("%d|%v|%s", units, units, units) != text+"|"+text+"|"+text {
			t.Errorf("%s becomes %s, %v", text, written, units)
		}
		if _, found := units.Int64(); found != fits {
			t.Errorf("%s fits: %v", text, found)
		}
		if units.Big().String() != text || units.Compare(unitsOf(units.Big())) != 0 {
			t.Errorf("%s is not itself", text)
		}
	}
	var large, small Units
	must(t, json.Unmarshal([]byte("9223372036854775808"), &large))
	small = UnitsOf(math.MaxInt64)
	if large.Compare(small) != 1 || small.Compare(large) != -1 || small.Compare(UnitsOf(1)) != 1 || UnitsOf(1).Compare(small) != -1 {
		t.Error("the order is wrong")
	}
	if n, fits := large.Int64(); n != math.MaxInt64 || fits || large.Float64() != 9223372036854775808 || UnitsOf(3).Float64() != 3 {
		t.Error("the nearest numbers are wrong")
	}
	for _, text := range []string{"1.5", "1e3", `"1"`, "true", "{}"} {
		if err := json.Unmarshal([]byte(text), &small); err == nil {
			t.Errorf("%s is read", text)
		}
	}
}

func TestPercentIsRoundedDown(t *testing.T) {
	for _, c := range []struct {
		done, total, percent int64
		isKnown              bool
	}{{999, 1000, 99, true}, {1000, 1000, 100, true}, {5, 4, 125, true}, {3, 0, 0, false}, {0, 3, 0, true}} {
		percent, isKnown := Indicator{Done: UnitsOf(c.done), Total: UnitsOf(c.total)}.Percent()
		if percent != c.percent || isKnown != c.isKnown {
			t.Errorf("%d of %d are %d percent, %v", c.done, c.total, percent, isKnown)
		}
	}
}
