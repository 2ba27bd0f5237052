package ledger

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of notes.
const (
	// MessageScalarsMax is the maximum length of a message, in Unicode scalars. Longer ones are cut.
	MessageScalarsMax = 1000
	// LinkScalarsMax is the maximum length of a link.
	LinkScalarsMax = 2000
	// UnitScalarsMax is the maximum length of a unit.
	UnitScalarsMax = 32
	// errorScalarsMax is the maximum length of a message that the client makes of an error.
	errorScalarsMax = 200
)

// Note is a message or a link of a report, for people.
//
// What is recorded stays for ever: do not put secrets or personal data into notes. A note that cannot be reported is
// dropped and counted, the call returns an *InvalidError, and the units of its report count.
type Note func(*notes)

// Message says what is being done, or why something ended, in 1 to 1,000 Unicode scalars.
//
// A longer text is cut. Control characters other than line feeds become spaces, and invalid UTF-8 the replacement
// character. Of several messages of an indicator within a second, the last one is recorded.
func Message(text string) Note {
	return func(n *notes) { n.message = cleanMessage(text) }
}

// Link says where to look for more: the http or https URL of a log, or of the engine's own page.
//
// It has up to 2,000 characters of RFC 3986, and neither a user nor a password.
func Link(address string) Note {
	return func(n *notes) {
		if err := checkLink(address); err != nil {
			n.problem, n.invalid = err, n.invalid+1
			return
		}
		n.link = address
	}
}

// notes are the notes of one report.
type notes struct {
	message, link string
	// problem is the error of the last invalid note, and invalid their number.
	problem error
	invalid int
}

// notesOf applies the options. A nil one is ignored.
func notesOf(options []Note) notes {
	var found notes
	for _, option := range options {
		if option != nil {
			option(&found)
		}
	}
	return found
}

// cleanMessage cuts a text to the length of a message and replaces its control characters.
func cleanMessage(text string) string {
	return cut(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text), MessageScalarsMax)
}

// cut returns the first Unicode scalars of a text.
func cut(text string, scalars int) string {
	if len(text) <= scalars {
		return text
	}
	for i := range text {
		if scalars == 0 {
			return text[:i]
		}
		scalars--
	}
	return text
}

// checkLink validates a link as the ledger does.
//
// The error does not contain it, because it may contain a password.
func checkLink(address string) error {
	problem := ""
	authority, isURL := authorityOf(address)
	switch {
	case len(address) > LinkScalarsMax:
		problem = fmt.Sprintf("has %d bytes; the maximum is %d", len(address), LinkScalarsMax)
	case strings.Contains(authority, "@"):
		problem = "contains a user or a password"
	case !isURL || authority == "" || authority[0] == ':':
		problem = "is not an http or https URL with a host"
	case !isHostAndPort(authority):
		problem = "has an invalid host or port"
	case strings.IndexFunc(address, isOutsideOfLinks) >= 0 || !hasWholeEscapes(address):
		problem = "has characters that must be percent-encoded"
	}
	if problem == "" {
		return nil
	}
	return &InvalidError{Field: "link", Problem: problem}
}

// authorityOf returns what is between the scheme and the path of an http or https URL, and whether it is one.
func authorityOf(address string) (authority string, isURL bool) {
	scheme, rest, _ := strings.Cut(address, "://")
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", false
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest, true
}

// isHostAndPort reports whether the text is a host, or an IPv6 address in brackets, perhaps with a port.
func isHostAndPort(text string) bool {
	rest := text
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 2 || strings.Trim(text[1:end], hexadecimalDigits+":.") != "" {
			return false
		}
		if rest = text[end+1:]; rest != "" && rest[0] != ':' {
			return false
		}
	}
	host, port, _ := strings.Cut(rest, ":")
	if strings.ContainsAny(host, "[]") || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return false
	}
	number, err := strconv.Atoi("0" + port)
	return err == nil && number <= math.MaxUint16
}

// hasWholeEscapes reports whether two hexadecimal digits follow each "%".
func hasWholeEscapes(text string) bool {
	for {
		_, rest, found := strings.Cut(text, "%")
		if !found {
			return true
		}
		if len(rest) < 2 || strings.Trim(rest[:2], hexadecimalDigits) != "" {
			return false
		}
		text = rest[2:]
	}
}

const hexadecimalDigits = "0123456789abcdefABCDEF"

// isOutsideOfLinks reports whether a character is none of RFC 3986.
func isOutsideOfLinks(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r)
}

// checkUnit validates a unit as the ledger does.
func checkUnit(unit string) error {
	if err := checkText("unit", unit, 1, UnitScalarsMax); err != nil {
		return err
	}
	if strings.IndexFunc(unit, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) >= 0 {
		return &InvalidError{Field: "unit", Problem: "contains control characters"}
	}
	return nil
}

var (
	// urlUser is a URL with user information, up to the last "@" of the word: a password may contain any character.
	urlUser = regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9+.-]*://)\S*@`)
	// urlQuery is the query of a URL, which may contain a signature or a token.
	urlQuery = regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9+.-]*://[^\s?]*)\?\S*`)
)

// errorMessage returns the message of a failed execution: the type of the innermost error, and with its text the first
// line, of at most 200 Unicode scalars and without the users, passwords and queries of URLs.
func errorMessage(err error, withText bool) string {
	message := fmt.Sprintf("%T", innermost(err))
	if !withText {
		return cut(message, errorScalarsMax)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(textOf(err)), "\n")
	line = urlQuery.ReplaceAllString(urlUser.ReplaceAllString(line, "$1"), "$1?…")
	if line == "" {
		line = message
	}
	if utf8.RuneCountInString(line) > errorScalarsMax {
		line = cut(line, errorScalarsMax-1) + "…"
	}
	return cleanMessage(line)
}

// innermost returns the innermost error, or the last one that it reaches: an Unwrap of the program may panic, and
// errors may form a cycle.
func innermost(err error) (inner error) {
	const wrapsMax = 100
	inner = err
	defer func() { _ = recover() }()
	for i := 0; i < wrapsMax; i++ {
		next := errors.Unwrap(inner)
		if next == nil {
			break
		}
		inner = next
	}
	return inner
}

// textOf returns the text of an error; empty if the error panics.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	return err.Error()
}
