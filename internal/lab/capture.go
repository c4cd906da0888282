//go:build linux

package lab

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Frame is an Ethernet frame that a host sent into a switch.
type Frame struct {
	Time time.Time // when it was read, which is soon after
	Data []byte
}

// Capture is a recording of frames. See [Switch.Capture].
type Capture struct {
	socket *os.File
	keep   func(frame []byte) bool

	mu     sync.Mutex // guards frames
	frames []Frame

	done sync.WaitGroup
	stop func()
	lost int // set once stopped
}

// captureBuffer is how many bytes the kernel may hold for a capture.
const captureBuffer = 16 << 20

// Capture begins to record the frames sent into the switch for which keep, if
// it is not nil, returns true. Multicast frames are seen once, and frames of
// which all copies are lost later on are seen, too.
func (s *Switch) Capture(keep func(frame []byte) bool) *Capture {
	s.lab.t.Helper()
	c := &Capture{keep: keep}
	s.lab.must(s.lab.floor.do(func() (err error) {
		c.socket, err = s.lab.floor.sniff(s.bridge)
		return err
	}))
	c.stop = sync.OnceFunc(func() {
		c.lost = dropped(c.socket)
		c.socket.Close()
		c.done.Wait()
	})
	c.done.Go(c.read)
	s.mu.Lock()
	s.captures = append(s.captures, c)
	s.mu.Unlock()
	return c
}

// sniff opens a packet socket (packet(7)) that receives all that passes a
// bridge. The calling thread is in the namespace.
func (n *namespace) sniff(bridge string) (*os.File, error) {
	// No protocol, so that nothing is received before bind.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("packet socket", err)
	}
	f := os.NewFile(uintptr(fd), "packet socket on "+bridge)
	index, err := n.index(bridge)
	if err == nil && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer) != nil {
		// Root of a user namespace has to do with what everybody may have.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, captureBuffer)
	}
	if err == nil {
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("packet socket on %s: %w", bridge, err)
	}
	return f, nil
}

// networkOrder returns the number whose bytes in memory are v's in the order
// of the network.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// dropped returns how many frames the kernel had no room for.
func dropped(f *os.File) (n int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = int(s.Drops)
		}
	})
	return n
}

func (c *Capture) read() {
	buf := make([]byte, 1<<16)
	for {
		n, err := c.socket.Read(buf)
		if err != nil {
			return
		}
		if c.keep != nil && !c.keep(buf[:n]) {
			continue
		}
		f := Frame{time.Now(), append([]byte(nil), buf[:n]...)}
		c.mu.Lock()
		c.frames = append(c.frames, f)
		c.mu.Unlock()
	}
}

// Frames returns what was recorded so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames[:len(c.frames):len(c.frames)]
}

// Stop ends the recording and returns it, and how many frames came too fast to
// be recorded.
func (c *Capture) Stop() (frames []Frame, lost int) {
	c.stop()
	return c.Frames(), c.lost
}

// UDP is for [Switch.Capture]: it keeps UDP datagrams to or from a port, of
// IPv4 without fragments and of IPv6 without extension headers.
func UDP(port uint16) (keep func(frame []byte) bool) {
	return func(frame []byte) bool {
		udp, ok := udpOf(frame)
		return ok && (binary.BigEndian.Uint16(udp) == port || binary.BigEndian.Uint16(udp[2:]) == port)
	}
}

// Payload returns what is in the UDP datagram in a frame, or nil if there is
// none.
func (f Frame) Payload() []byte {
	udp, ok := udpOf(f.Data)
	if !ok {
		return nil
	}
	if size := int(binary.BigEndian.Uint16(udp[4:])); size >= 8 && size <= len(udp) {
		return udp[8:size]
	}
	return nil
}

// udpOf returns the UDP datagram in a frame, with its header.
func udpOf(frame []byte) ([]byte, bool) {
	const ethernet, udpHeader = 14, 8
	if len(frame) < ethernet {
		return nil, false
	}
	packet := frame[ethernet:]
	var header int
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if len(packet) < 20 || packet[9] != unix.IPPROTO_UDP {
			return nil, false
		}
		header = int(packet[0]&15) * 4
	case unix.ETH_P_IPV6:
		if len(packet) < 40 || packet[6] != unix.IPPROTO_UDP {
			return nil, false
		}
		header = 40
	default:
		return nil, false
	}
	if len(packet) < header+udpHeader {
		return nil, false
	}
	return packet[header:], true
}
