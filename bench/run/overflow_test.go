package main

import "testing"

func TestTableFulls(t *testing.T) {
	n, err := tableFulls([]byte("entries  allocs   table_fulls\n000001e4 0000f0f9 0000000a\n000001e4 00011b44 00000010\n"))
	if err != nil || n != 26 {
		t.Errorf("got %d, %v; want 26", n, err)
	}
	if _, err := tableFulls([]byte("entries  allocs\n000001e4 0000f0f9\n")); err == nil {
		t.Error("a table without the column gave no error")
	}
}
