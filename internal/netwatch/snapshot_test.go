package netwatch

import (
	"testing"
)

// What Snapshot says is what package net says.
func TestSnapshotAgreesWithPackageNet(t *testing.T) {
	got, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want, err := portableSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		t.Error("no interface, not even loopback")
	}
	if !got.Equal(want) {
		t.Errorf("Snapshot:\n%v\npackage net:\n%v", got, want)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for b.Loop() {
		if _, err := Snapshot(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPortableSnapshot(b *testing.B) {
	for b.Loop() {
		if _, err := portableSnapshot(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubscribe(b *testing.B) {
	for b.Loop() {
		Subscribe(func(Event) {})()
	}
}
