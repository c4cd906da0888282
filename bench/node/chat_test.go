package main

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func numbers(ns ...uint64) (b []byte) {
	for _, n := range ns {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

type reader struct{ b []byte }

func (r *reader) Read(b []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.b)
	r.b = r.b[n:]
	return n, nil
}

func TestListenTakesWhatTalkSends(t *testing.T) {
	all := make([]uint64, 1000)
	for i := range all {
		all[i] = uint64(i)
	}
	whole := numbers(all...)
	for name, r := range map[string]io.Reader{
		"at once":      &reader{whole},
		"byte by byte": iotest.OneByteReader(&reader{whole}),
		"cut short":    &reader{whole[:len(whole)-3]},
	} {
		if err := listen(r); err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListenFindsWhatIsWrong(t *testing.T) {
	for name, b := range map[string][]byte{
		"lost":     numbers(0, 1, 3),
		"twice":    numbers(0, 1, 1),
		"the last": numbers(1),
		"shifted":  numbers(0, 1)[1:],
	} {
		if err := listen(&reader{append(b, numbers(4, 5)...)}); !errors.Is(err, errWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
