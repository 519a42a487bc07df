package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrTooLong says that a line is longer than allowed. What follows it cannot be told from its rest: the session is over.
var ErrTooLong = errors.New("the line is too long")

// LineReader reads lines of a bounded length.
type LineReader struct {
	reader *bufio.Reader
	limit  int
}

// NewLineReader reads lines of up to limit bytes, the newline not counted.
func NewLineReader(r io.Reader, limit int) *LineReader {
	return &LineReader{reader: bufio.NewReader(r), limit: limit}
}

// Next returns the next line without its newline: io.EOF at the end, io.ErrUnexpectedEOF when the last line is cut off.
func (l *LineReader) Next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.reader.ReadSlice('\n')
		line = append(line, part...)
		if len(bytes.TrimSuffix(line, []byte("\n"))) > l.limit {
			return nil, ErrTooLong
		}
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// DecodeRequest reads a request: one JSON object of known fields, nothing behind it, and valid.
func DecodeRequest(line []byte) (*Request, error) {
	request := &Request{}
	if err := decode(line, request); err != nil {
		return nil, err
	}
	if err := request.Validate(); err != nil {
		return nil, err
	}
	return request, nil
}

// decodeResponse reads a response. Unknown fields are a later helper's and do no harm here.
func decodeResponse(line []byte) (*Response, error) {
	response := &Response{}
	if err := json.Unmarshal(line, response); err != nil {
		return nil, fmt.Errorf("the helper's answer is none of this protocol: %w", err)
	}
	return response, nil
}

func decode(line []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON object in a line")
	}
	return nil
}

// Write writes a request or response as one line, in one call.
func Write(w io.Writer, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
