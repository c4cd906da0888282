package main

import (
	"strings"
	"testing"
	"time"
)

// Whatever order lines are told in, the times that are shown are in order.
func TestTimesAreShownInOrder(t *testing.T) {
	var out strings.Builder
	s := screen{w: &out, width: 3}
	const ms = time.Millisecond
	s.title("begin")
	s.line(9*ms, "bob", "finds", "ada")
	s.line(2*ms, "ada", "starts", "")
	s.line(9*ms, "ada", "finds", "bob")
	s.line(9*ms, "", "", "full mesh")
	s.line(12*ms, "cyd", "starts", "")
	s.show(1 * ms)
	if got := out.String(); got != "begin\n" {
		t.Errorf("before anything has happened:\n%s", got)
	}
	s.show(10 * ms)
	s.line(5*ms, "ada", "hears", "too late")
	s.line(13*ms, "cyd", "finds", "ada")
	s.title("end")
	want := `begin
   2.0 ms  ada  starts  
   9.0 ms  bob  finds   ada
   9.0 ms  ada  finds   bob
   9.0 ms  full mesh
   9.0 ms  ada  hears   too late
  12.0 ms  cyd  starts  
  13.0 ms  cyd  finds   ada
end
`
	if got := out.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
