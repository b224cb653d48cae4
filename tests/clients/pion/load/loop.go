package main

import (
	"container/heap"
	"log"
	"math"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	frame   = 20_000_000 // ns
	second  = 1_000_000_000
	consent = 2_660_000_000
	reports = 5_000_000_000
)

// One thread, one epoll: all datagrams of all calls, and everybody's sending clock.
type loop struct {
	epoll, wake int
	calls       []*call // by descriptor
	talking     schedule
	frames      [][]byte
	coding      coding
	naps        bool
	numbered    bool
	out         []byte
	plain       []byte
	joined      float64 // where in the 20 ms the next caller begins: the golden ratio spreads any number evenly
	window      *window
	trunk       *trunk // if the callers are behind a relay

	lock  sync.Mutex
	asked []func()
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &event); err != nil {
		return nil, err
	}
	return &loop{epoll: epoll, wake: wake, coding: opus}, nil
}

// Has something done on the loop's thread, and waits for it.
func (l *loop) ask(work func()) {
	done := make(chan struct{})
	l.lock.Lock()
	l.asked = append(l.asked, func() { work(); close(done) })
	l.lock.Unlock()
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-done
}

// Begins to read the socket of a call.
func (l *loop) watch(c *call) {
	if c.socket == nil {
		return
	}
	fd := c.socket.fd
	for len(l.calls) <= fd {
		l.calls = append(l.calls, nil)
	}
	l.calls[fd] = c
	if err := l.read(fd); err != nil {
		log.Fatal(err)
	}
}

func (l *loop) read(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event)
}

// From now on all callers are behind this relay.
func (l *loop) relay(t *trunk) error {
	l.trunk = t
	return l.read(t.socket.fd)
}

// Begins to talk, or only to be there.
func (l *loop) join(c *call, talk bool) {
	now := clock()
	l.joined += 0.6180339887498949
	l.joined -= float64(int(l.joined))
	c.live, c.talks = true, talk
	c.nextCheck = now + int64((1+l.joined)*consent)
	c.nextReport = now + int64((1+l.joined)*reports)
	c.nextFrame = math.MaxInt64
	if talk {
		c.nextFrame = now - now%frame + frame + int64(l.joined*frame)
	}
	heap.Push(&l.talking, c)
}

func (l *loop) forget(c *call) {
	if c.live {
		c.live = false
		heap.Remove(&l.talking, c.place)
	}
	if c.socket == nil {
		l.trunk.leave(c)
		return
	}
	if c.socket.fd < len(l.calls) {
		l.calls[c.socket.fd] = nil
	}
	_ = unix.Close(c.socket.fd)
}

func (l *loop) run() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	reader := newReader()
	var events [256]unix.EpollEvent
	for {
		count := l.wait(events[:])
		for _, event := range events[:count] {
			if int(event.Fd) == l.wake {
				var eight [8]byte
				_, _ = unix.Read(l.wake, eight[:])
				continue
			}
			if l.trunk != nil && int(event.Fd) == l.trunk.socket.fd {
				l.trunk.read(l, reader)
				continue
			}
			if c := l.calls[event.Fd]; c != nil {
				if datagram, at := reader.receive(c.socket.fd); datagram != nil {
					l.take(c, datagram, at)
				}
			}
		}
		l.send()
		if l.trunk != nil {
			l.trunk.flushDue(clock())
		}
		l.obey()
	}
}

// Never sleeps while something is measured. To wake a sleeping receiver costs the sender an interrupt to another
// processor, in a virtual machine some 50 us of its time: a generator that slept would be part of what it measures.
func (l *loop) wait(events []unix.EpollEvent) int {
	if l.window != nil && !l.naps {
		return poll(l.epoll, events, 0)
	}
	next := int64(math.MaxInt64)
	if len(l.talking) > 0 {
		next = l.talking[0].due()
	}
	if l.trunk != nil && l.trunk.count > 0 {
		next = min(next, l.trunk.since+nap)
	}
	return poll(l.epoll, events, min(max(next-clock(), 0), second))
}

// For so many nanoseconds at most. Go's own epoll counts in milliseconds, which is late for a caller.
func poll(epoll int, events []unix.EpollEvent, patience int64) int {
	wait := unix.NsecToTimespec(patience)
	count, _, failed := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&wait)), 0, 0)
	if failed != 0 {
		return 0
	}
	return int(count)
}

func (l *loop) send() {
	for len(l.talking) > 0 {
		c := l.talking[0]
		due, now := c.due(), clock()
		if due > now {
			return
		}
		if due == c.nextFrame {
			if l.frames != nil {
				l.speak(c, now)
				if l.window != nil {
					l.window.sent(now - due)
				}
			}
			c.nextFrame += frame
		}
		if due == c.nextCheck {
			l.check(c)
			c.nextCheck += consent
		}
		if due == c.nextReport {
			l.report(c, now)
			c.nextReport += reports
		}
		heap.Fix(&l.talking, 0)
	}
}

func (l *loop) obey() {
	l.lock.Lock()
	asked := l.asked
	l.asked = nil
	l.lock.Unlock()
	for _, work := range asked {
		work()
	}
}

// A heap of calls by when they have something to do.
type schedule []*call

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due() < s[j].due() }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}
func (s *schedule) Push(x any) {
	c := x.(*call)
	c.place = len(*s)
	*s = append(*s, c)
}
func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}
