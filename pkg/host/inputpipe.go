package host

import (
	"fmt"
	"io"
	"os"

	"github.com/k0sproject/rig/v2/protocol"
)

// startWithPipe starts a program of this machine with a pipe for its standard input. Given a plain reader, os/exec would
// wait for the end of the input after the end of the program.
func startWithPipe(stdin io.Reader, start func(stdin io.Reader) (protocol.Waiter, error)) (protocol.Waiter, error) {
	if stdin == nil {
		return start(nil)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe for the input: %w", err)
	}
	process, err := start(read)
	read.Close()
	if err != nil {
		write.Close()
		return nil, err
	}
	go func() {
		_, _ = io.CopyBuffer(struct{ io.Writer }{write}, struct{ io.Reader }{stdin}, make([]byte, copyBuffer))
		write.Close()
	}()
	return process, nil
}
