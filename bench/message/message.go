// Package message is what the measured programs send one another when it is measured
// how messages are sent to many: messages of one size that tell when they were sent.
package message

import "encoding/binary"

// headerLen is how many bytes of a message tell something: when it was sent, 8, and
// in which phase of the measurement, 4.
const headerLen = 12

// put writes the header of a message.
func put(b []byte, at int64, phase uint32) {
	binary.BigEndian.PutUint64(b, uint64(at))
	binary.BigEndian.PutUint32(b[8:], phase)
}

// get reads the header of a message.
func get(b []byte) (at int64, phase uint32) {
	return int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])
}
