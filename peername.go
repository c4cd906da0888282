package tcpnet

import (
	"fmt"
	"net"
	"strings"

	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/mesh"
)

// Suffix makes a host name of a peer's label or ID, for clients of the network that
// want one: "kitchen-pi.mesh".
const Suffix = ".mesh"

// find returns the ID of the node that DialContext is to reach.
func (n *Node) find(peer string) (link.ID, error) {
	nodes := n.mesh.Peers()
	if len(nodes) == 0 {
		return "", ErrClosed
	}
	id, err := findPeer(peer, nodes)
	if err != nil || id != "" {
		return id, err
	}
	if id, perr := link.ParseID(hostPart(peer)); perr == nil { // perhaps there is more to say of it
		if err := n.mesh.Known(id); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%w; connected are %s", ErrNoPeer, nameAll(nodes))
}

// findPeer returns the ID of the node that a name stands for, or none if there is no
// such node.
func findPeer(name string, nodes []mesh.Peer) (link.ID, error) {
	// A label may look like a host with a port or with the suffix: what is there
	// goes before what it would be without.
	forms := []string{name}
	if host := hostPart(name); host != name {
		if h, _, err := net.SplitHostPort(name); err == nil && h != host && h != name {
			forms = append(forms, h)
		}
		forms = append(forms, host)
	}
	for _, form := range forms {
		if id, err := link.ParseID(form); err == nil {
			for _, p := range nodes {
				if p.ID == id {
					return id, nil
				}
			}
		}
		for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
			var found []mesh.Peer
			for _, p := range nodes {
				if p.Label != "" && same(p.Label, form) {
					found = append(found, p)
				}
			}
			switch {
			case len(found) == 1:
				return found[0].ID, nil
			case len(found) > 1:
				return "", fmt.Errorf("%w: %s", ErrAmbiguous, nameAll(found))
			}
		}
	}
	return "", nil
}

// hostPart takes the port and the suffix off a name.
func hostPart(name string) string {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	if n := len(name) - len(Suffix); n > 0 && strings.EqualFold(name[n:], Suffix) {
		name = name[:n]
	}
	return name
}

// maxNamed is how many nodes an error names.
const maxNamed = 8

// nameAll names nodes for people.
func nameAll(nodes []mesh.Peer) string {
	var b strings.Builder
	for i, p := range nodes {
		if i == maxNamed {
			fmt.Fprintf(&b, " and %d more", len(nodes)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%q)", p.ID, p.Label)
	}
	return b.String()
}
