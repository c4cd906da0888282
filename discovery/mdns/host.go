package mdns

import "example.com/tcpnet/internal/netwatch"

// host is the machine's own network.
type host struct{}

func (host) Interfaces() ([]Interface, error) {
	s, err := netwatch.Current()
	if err != nil {
		return nil, err
	}
	return interfaces(s), nil
}

func (host) Watch(changed func([]Interface, bool)) (cancel func()) {
	return netwatch.Subscribe(func(e netwatch.Event) { changed(interfaces(e.State), e.Resumed) })
}

func (host) Open(port uint16, receive func(Packet)) (Transport, error) {
	return openSockets(port, receive)
}

func interfaces(s netwatch.State) []Interface {
	ifs := make([]Interface, len(s))
	for n, i := range s {
		ifs[n] = Interface(i)
	}
	return ifs
}
