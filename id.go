package tcpnet

import "example.com/tcpnet/internal/link"

// ID identifies a node in its cluster: 1 to 128 upper-case hexadecimal digits. Use
// [ParseID] to make one of text.
type ID string

// ParseID checks that s consists of 1 to 128 hexadecimal digits and folds them to
// upper case.
func ParseID(s string) (ID, error) {
	id, err := link.ParseID(s)
	return ID(id), err
}

// Compare orders IDs as numbers, and those of the same value by length: A < 0A < B.
// It returns -1, 0 or +1.
func (id ID) Compare(other ID) int { return link.ID(id).Compare(link.ID(other)) }
