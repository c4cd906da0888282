package main

import (
	"crypto/rand"
	"strings"
	"testing"

	"example.com/tcpnet/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// Three people talk; one leaves, one is cut off.
func TestARoom(t *testing.T) {
	room := rand.Text()
	enter := func(nick string) *program.Program {
		return program.Start(t, nick, "-room", room, "-addr", "127.0.0.1:0", "-nick", nick)
	}
	ann, bob := enter("ann"), enter("bob")
	ann.Expect(`^\* bob is here$`)
	bob.Expect(`^\* ann is here$`)
	cid := enter("cid")
	ann.Expect(`^\* cid is here$`)
	bob.Expect(`^\* cid is here$`)

	ann.Say("hello \x1b[31mall")
	bob.Expect(`^\d\d:\d\d ann: hello  \[31mall$`)
	cid.Expect(`ann: hello`)
	cid.Say("hello ann")
	ann.Expect(`cid: hello ann$`)

	bob.Interrupt()
	if said := bob.String(); strings.Contains(said, "has left") || !strings.HasSuffix(said, "\nyou have left \""+room+"\"") {
		t.Errorf("who leaves himself says:\n%s", said)
	}
	ann.Expect(`^\* bob has left: the peer has left$`)
	cid.Kill()
	ann.Expect(`^\* cid has left: .*process`)
	enter("dan")
	ann.Expect(`^\* dan is here$`)
}
