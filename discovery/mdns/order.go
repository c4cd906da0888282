package mdns

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// inOrder ranges over a map in the order of its keys, so that what is drawn at
// random and sent does not depend on more than the source of randomness. Entries may
// be deleted meanwhile.
func inOrder[K comparable, V any](m map[K]V, compare func(a, b K) int) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range slices.SortedFunc(maps.Keys(m), compare) {
			if v, ok := m[k]; ok && !yield(k, v) {
				return
			}
		}
	}
}

// compare orders links by interface, IPv4 first.
func (l link) compare(o link) int {
	if l.index != o.index || l.v6 == o.v6 {
		return cmp.Compare(l.index, o.index)
	}
	if o.v6 {
		return -1
	}
	return 1
}
