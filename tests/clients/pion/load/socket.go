package main

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A UDP socket of one caller, whose datagrams come with the time at which the kernel got them.
type socket struct {
	fd   int
	port int
}

func newSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	return &socket{fd, name.(*unix.SockaddrInet4).Port}, nil
}

func (s *socket) connect(address [4]byte, port int) error {
	return unix.Connect(s.fd, &unix.SockaddrInet4{Addr: address, Port: port})
}

// RawSyscall: these calls never block, and the scheduler need not hear of them.
func (s *socket) send(datagram []byte) bool {
	_, _, errno := unix.RawSyscall6(
		unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&datagram[0])), uintptr(len(datagram)), 0, 0, 0,
	)
	return errno == 0
}

// What one thread reads with; the kernel writes into it.
type reader struct {
	buffer  [2048]byte
	control [64]byte
	vector  unix.Iovec
	message unix.Msghdr
}

func newReader() *reader {
	r := &reader{}
	r.vector.Base = &r.buffer[0]
	r.vector.SetLen(len(r.buffer))
	r.message.Iov = &r.vector
	r.message.SetIovlen(1)
	r.message.Control = &r.control[0]
	return r
}

// The next datagram and its arrival in nanoseconds of Unix time; nil when none waits. Valid until the next call.
func (r *reader) receive(fd int) ([]byte, int64) {
	r.message.SetControllen(len(r.control))
	size, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.message)), 0)
	if errno != 0 || size == 0 {
		return nil, 0
	}
	var at int64
	if r.message.Controllen >= unix.SizeofCmsghdr+16 {
		stamp := r.control[unix.SizeofCmsghdr:]
		at = int64(binary.LittleEndian.Uint64(stamp))*1e9 + int64(binary.LittleEndian.Uint64(stamp[8:]))
	}
	return r.buffer[:size], at
}

// Unix time in nanoseconds, of the clock that arrivals are stamped with.
func clock() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &now)
	return now.Nano()
}
