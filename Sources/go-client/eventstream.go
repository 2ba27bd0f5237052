package ledger

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// streamEvent is one event of a stream of server-sent events.
type streamEvent struct {
	kind, id string
	data     []byte
}

// eventStream reads server-sent events, as the HTML standard describes them.
type eventStream struct {
	lines *bufio.Reader
	// heard is called for everything that arrives, comments included: the stream lives.
	onActivity func()
	// lastID stays in force until another one comes.
	lastID string
	// isBegun says that the byte order mark with which a stream may begin is behind us.
	isBegun bool
	// isAfterReturn says that the last line ended with a carriage return: a line feed after it ends no other one.
	isAfterReturn bool
}

// streamEventBytesMax is the longest event that is held in memory: a snapshot of as many labels as fit into an answer.
const streamEventBytesMax = responseBytesMax

func newEventStream(stream io.Reader, lastID string, onActivity func()) *eventStream {
	return &eventStream{lines: bufio.NewReader(stream), onActivity: onActivity, lastID: lastID}
}

// next returns the next event. An event that the stream breaks off in is none: io.EOF, or io.ErrUnexpectedEOF.
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
		// Comments have no name. What else there may be, such as retry, is not for us: our pauses are our own.
	}
}

// line returns a line without its end: a line feed, a carriage return, or both.
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

// begun takes away the byte order mark of the first line.
func (s *eventStream) trimByteOrderMark(line []byte) []byte {
	if s.isBegun {
		return line
	}
	s.isBegun = true
	return bytes.TrimPrefix(line, []byte("\xEF\xBB\xBF"))
}
