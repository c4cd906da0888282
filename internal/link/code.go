package link

import "fmt"

// Code says why a link was refused or ended (PROTOCOL.md section 4).
type Code uint8

// The codes of PROTOCOL.md section 4.
const (
	CodeDuplicate   Code = 1
	CodeSelf        Code = 2
	CodeWrongName   Code = 3
	CodeWrongNode   Code = 4
	CodeDuplicateID Code = 5
	CodeRefused     Code = 6
	CodeBusy        Code = 7
	CodeVersion     Code = 8
	CodeLeaving     Code = 9
	CodeProtocol    Code = 10
	CodeTimeout     Code = 11
	CodeReplaced    Code = 12
	CodeClosed      Code = 13
	CodeOpen        Code = 14
	CodeNoService   Code = 18
	CodeServiceBusy Code = 19
	CodeNotWanted   Code = 20
	CodeCannotDial  Code = 21

	// These stand for what was found out without a REJECT. They are never sent.
	CodePrivate  Code = 15
	CodeNoSecret Code = 16
)

var codeText = map[Code]string{
	CodeDuplicate:   "there is a working link already",
	CodeSelf:        "this is the node itself",
	CodeWrongName:   "it belongs to another cluster",
	CodeWrongNode:   "it is another node than the one meant",
	CodeDuplicateID: "two living nodes use one ID",
	CodeRefused:     "it was refused by the program",
	CodeBusy:        "it has too many newcomers at once",
	CodeVersion:     "it speaks no version of the protocol that this node speaks",
	CodeLeaving:     "it is leaving",
	CodeProtocol:    "it found the protocol broken",
	CodeTimeout:     "it had no answer in time",
	CodeReplaced:    "a newer link has taken its place",
	CodeClosed:      "it was closed",
	CodeOpen:        "it is open, and this node is private",
	CodeNoService:   "it has no such service",
	CodeServiceBusy: "too many streams wait for its service to accept them",
	CodeNotWanted:   "it does not wait for this stream any more",
	CodeCannotDial:  "it cannot connect to this node",
}

// String says what the code means, of the node that sent it.
func (c Code) String() string {
	if s, ok := codeText[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", uint8(c))
}
