package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// PTY is a pseudo-terminal and its screen.
type PTY struct {
	// Slave is what programs see: a terminal.
	Slave *os.File

	master  *os.File
	changed func(*Screen)
	mu      sync.Mutex
	screen  *Screen
	err     error         // the first of the screen's
	settled chan struct{} // gets a value when the mark of Settle has come
	ended   chan struct{} // closed when nobody has the slave open any more
}

// Open makes a pseudo-terminal. Changed, unless it is nil, is given a copy of the screen whenever that has changed.
func Open(columns, rows int, changed func(*Screen)) (*PTY, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	p := &PTY{
		changed: changed, master: master, screen: NewScreen(columns, rows),
		settled: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := p.open(columns, rows); err != nil {
		master.Close()
		return nil, fmt.Errorf("opening a pseudo-terminal: %w", err)
	}
	go p.read()
	return p, nil
}

func (p *PTY) open(columns, rows int) error {
	fd := int(p.master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if err := p.setSize(columns, rows); err != nil {
		return err
	}
	p.Slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return err
}

func (p *PTY) setSize(columns, rows int) error {
	return unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)})
}

// Resize gives the terminal and its screen another size.
func (p *PTY) Resize(columns, rows int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.screen.Resize(columns, rows)
	return p.setSize(columns, rows)
}

// mark is written by Settle; the screen is not shown it.
const mark = "\x00"

func (p *PTY) read() {
	defer close(p.ended)
	buffer := make([]byte, 4096)
	for {
		n, err := p.master.Read(buffer)
		if err != nil { // EIO: the slave is closed, and all is read
			return
		}
		text, marked := strings.CutSuffix(string(buffer[:n]), mark)
		p.show(text)
		if marked {
			p.settled <- struct{}{}
		}
	}
}

func (p *PTY) show(text string) {
	p.mu.Lock()
	if _, err := p.screen.Write([]byte(text)); err != nil && p.err == nil {
		p.err = err
	}
	copied := p.screen.clone()
	p.mu.Unlock()
	if p.changed != nil {
		p.changed(copied)
	}
}

// Type writes what somebody would type.
func (p *PTY) Type(text string) error {
	_, err := p.master.WriteString(text)
	return err
}

// Settle waits until the screen shows what has been written, and returns a copy of it. Nobody may write meanwhile.
func (p *PTY) Settle() (*Screen, error) {
	if _, err := p.Slave.WriteString(mark); err != nil {
		return nil, err
	}
	<-p.settled
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.clone(), p.err
}

// Run runs a program on the terminal, which is its standard input and error, and its standard output where the command
// has none, and waits until it has ended and the screen shows all of it. The error is the screen's, or the program's.
func (p *PTY) Run(command *exec.Cmd) error {
	command.Stdin, command.Stderr = p.Slave, p.Slave
	if command.Stdout == nil {
		command.Stdout = p.Slave
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := command.Run()
	_, shown := p.Settle()
	return errors.Join(shown, err)
}

// Close takes the terminal away.
func (p *PTY) Close() {
	p.Slave.Close()
	<-p.ended
	p.master.Close()
}
