package ledger

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// streamEvent is one server-sent event.
type streamEvent struct {
	kind, id string
	data     []byte
}

// eventStream parses server-sent events according to the HTML standard.
type eventStream struct {
	lines *bufio.Reader
	// onActivity is called for every line, including comments.
	onActivity func()
	// lastID applies to all events until the next ID.
	lastID string
	// isBegun is true after the first line, which may begin with a byte order mark.
	isBegun bool
	// isAfterReturn is true after a carriage return: a line feed that follows belongs to the same line end.
	isAfterReturn bool
}

// streamEventBytesMax limits an event in memory.
const streamEventBytesMax = responseBytesMax

func newEventStream(stream io.Reader, lastID string, onActivity func()) *eventStream {
	return &eventStream{lines: bufio.NewReader(stream), onActivity: onActivity, lastID: lastID}
}

// next returns the next complete event.
//
// If the stream ends before, the error is io.EOF or io.ErrUnexpectedEOF.
func (s *eventStream) next() (streamEvent, error) {
	event := streamEvent{}
	hasData := false
	for {
		line, err := s.line()
		if err != nil {
			return streamEvent{}, err
		}
		s.onActivity()
		if len(line) == 0 {
			if !hasData && event.kind == "" {
				continue
			}
			event.id = s.lastID
			return event, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			event.kind = string(value)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				s.lastID = string(value)
			}
		case "data":
			if hasData {
				event.data = append(event.data, '\n')
			}
			hasData = true
			event.data = append(event.data, value...)
			if len(event.data) > streamEventBytesMax {
				return streamEvent{}, fmt.Errorf("an event is longer than %d bytes", streamEventBytesMax)
			}
		}
		// Other fields are ignored: comments, which have no name, and retry, because the client has its own pauses.
	}
}

// line returns the next line without its line feed, carriage return, or both.
func (s *eventStream) line() ([]byte, error) {
	var line []byte
	for {
		b, err := s.lines.ReadByte()
		if err != nil {
			return nil, err
		}
		isSecondHalf := b == '\n' && s.isAfterReturn
		s.isAfterReturn = false
		if isSecondHalf {
			continue
		}
		switch b {
		case '\n':
			return s.trimByteOrderMark(line), nil
		case '\r':
			s.isAfterReturn = true
			return s.trimByteOrderMark(line), nil
		}
		line = append(line, b)
		if len(line) > streamEventBytesMax {
			return nil, fmt.Errorf("a line is longer than %d bytes", streamEventBytesMax)
		}
	}
}

// trimByteOrderMark removes the byte order mark of the first line.
func (s *eventStream) trimByteOrderMark(line []byte) []byte {
	if s.isBegun {
		return line
	}
	s.isBegun = true
	return bytes.TrimPrefix(line, []byte("\xEF\xBB\xBF"))
}
