package link

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// FuzzFrames reads any bytes as a stream of frames, and each frame as what it says
// it is.
func FuzzFrames(f *testing.F) {
	f.Add(AppendPreface(nil, KindLink), uint16(MaxPayloadBefore))
	f.Add(AppendHello(nil, &fullHello), uint16(MaxPayloadBefore))
	var b []byte
	b = AppendCommit(b, Commit{Seq: 1})
	b = AppendReject(b, Reject{CodeBusy, 1, "text"})
	b = AppendPing(b, FramePong, Ping{1, Digest{1, 2}})
	b = AppendGoodbye(b, Goodbye{CodeLeaving, "bye"})
	b = AppendClose(b, 3)
	b = AppendAsk(b)
	b = AppendDial(b, DialBack{Nonce{1}, "http"})
	b = AppendNoDial(b, NoDial{Nonce{2}, CodeNoService, "text"})
	f.Add(AppendPeers(b, []Entry{{ID: "A"}}), uint16(100))
	f.Add([]byte{1, 0xff, 0xff, 0xff}, uint16(0xffff))
	f.Fuzz(func(t *testing.T, b []byte, limit uint16) {
		ParsePreface(b[:min(len(b), PrefaceLen)])
		frames, err := read(bytes.NewReader(b), int64(limit))
		if err == nil {
			t.Fatal("a stream without an end")
		}
		used := 0
		for _, fr := range frames {
			used += headerLen + len(fr) - 1
			if len(fr)-1 > int(limit) {
				t.Fatalf("a payload of %d bytes, where %d are allowed", len(fr)-1, limit)
			}
			parse(t, FrameType(fr[0]), []byte(fr[1:]))
		}
		if used > len(b) {
			t.Fatalf("%d bytes of frames in %d bytes", used, len(b))
		}
	})
}

// parse reads a payload, and reads again what it writes of it.
func parse(t *testing.T, typ FrameType, p []byte) {
	same := func(what string, a, b any, err error) {
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%s: %+v became %+v, %v", what, a, b, err)
		}
	}
	switch typ {
	case FrameCommit:
		if c, err := ParseCommit(p); err == nil {
			d, err := ParseCommit(AppendCommit(nil, c)[headerLen:])
			same("COMMIT", c, d, err)
		}
	case FrameReject:
		if r, err := ParseReject(p); err == nil {
			q, err := ParseReject(AppendReject(nil, r)[headerLen:])
			q.Text = r.Text // tamed text may be longer than what may be sent
			same("REJECT", r, q, err)
		}
	case FramePing, FramePong:
		if r, err := ParsePing(p); err == nil {
			q, err := ParsePing(AppendPing(nil, typ, r)[headerLen:])
			same("PING", r, q, err)
		}
	case FrameGoodbye:
		if r, err := ParseGoodbye(p); err == nil {
			q, err := ParseGoodbye(AppendGoodbye(nil, r)[headerLen:])
			q.Text = r.Text
			same("GOODBYE", r, q, err)
		}
	case FrameClose:
		if r, err := ParseClose(p); err == nil {
			q, err := ParseClose(AppendClose(nil, r)[headerLen:])
			same("CLOSE", r, q, err)
		}
	case FrameDial:
		if d, err := ParseDial(p); err == nil {
			e, err := ParseDial(AppendDial(nil, d)[headerLen:])
			same("DIAL", d, e, err)
		}
	case FrameNoDial:
		if n, err := ParseNoDial(p); err == nil {
			m, err := ParseNoDial(AppendNoDial(nil, n)[headerLen:])
			m.Text = n.Text
			same("NODIAL", n, m, err)
		}
	case FrameHello:
		parseHello(t, p)
	case FramePeers, FrameHearsay:
		parsePeers(t, p)
	}
}

func parseHello(t *testing.T, p []byte) {
	h, err := ParseHello(p)
	if err != nil {
		return
	}
	if len(h.Name) > MaxName || len(h.Label) > MaxLabel || len(h.Addrs) > MaxAddresses || len(h.ID) > MaxIDLen || MetaLen(h.Meta) > MaxMeta+len(h.Meta) {
		t.Fatalf("too much of something: %+v", h)
	}
	again, err := ParseHello(AppendHello(nil, h)[headerLen:])
	if err != nil || !reflect.DeepEqual(h, again) {
		t.Fatalf("%+v became %+v, %v", h, again, err)
	}
}

func parsePeers(t *testing.T, p []byte) {
	es, _, err := ParsePeers(p)
	if err != nil {
		return
	}
	var again []Entry
	frames, _ := read(bytes.NewReader(AppendPeers(nil, es)), MaxPayload)
	for _, fr := range frames {
		more, _, err := ParsePeers([]byte(fr[1:]))
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, more...)
	}
	if !reflect.DeepEqual(es, again) {
		t.Fatalf("%+v became %+v", es, again)
	}
}

// FuzzHello reads any bytes as the payload of HELLO.
func FuzzHello(f *testing.F) {
	f.Add(AppendHello(nil, &fullHello)[headerLen:])
	f.Add([]byte(required["versions"] + required["name"] + required["ID"] + required["incarnation"]))
	f.Add([]byte(required["versions"] + field(tagMeta, "\xff"+strings.Repeat("k", 300))))
	f.Fuzz(parseHello)
}

// FuzzPeers reads any bytes as the payload of PEERS.
func FuzzPeers(f *testing.F) {
	f.Add(AppendPeers(nil, []Entry{{ID: "A", Addrs: fullHello.Addrs}, {ID: "B"}})[headerLen:])
	f.Add([]byte{1})
	f.Fuzz(parsePeers)
}

// FuzzStreamRequest reads any bytes as the request for a stream.
func FuzzStreamRequest(f *testing.F) {
	f.Add(AppendStreamRequest(nil, &StreamRequest{Mode: StreamBack, From: "A", To: "0B", Nonce: Nonce{1}, Service: "http", Proof: Proof{2}}))
	f.Add([]byte("O\x01\x01\xff0123456789abcdefAB"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		r, err := ReadStreamRequest(in)
		if err != nil {
			return
		}
		if CheckService(r.Service) != nil || len(r.From) > MaxIDLen || len(r.To) > MaxIDLen {
			t.Fatalf("%+v", r)
		}
		out := AppendStreamRequest(nil, r)
		if len(out)+in.Len() != len(b) {
			t.Fatalf("%d bytes became %d, and %d are left", len(b), len(out), in.Len())
		}
		again, err := ReadStreamRequest(bytes.NewReader(out))
		if err != nil || *again != *r {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}
