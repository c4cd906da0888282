// Package mdns finds nodes on the local network by multicast DNS and DNS-based
// service discovery (RFC 6762 and RFC 6763). It is an engine of its own beside
// the machine's responder, shares port 5353 with it, and is seen by its browsers.
//
// [Discoverer] is what programs use. Within, caches and schedules are plain
// values: message.go and service.go know the format and the names, cache.go
// what others said, responder.go when to speak, querier.go when to ask, report.go
// what to tell a node. engine.go is the loop around them, and a [Network] its
// only way to the world.
//
// # Where it departs from the RFC
//
// Nodes find each other fast because any one side suffices: who hears an
// announcement connects. Names are random and TCP settles who is who, so a few
// rules can be relaxed. Each place says so in the code:
//
//   - no probing before the first announcement (8.1)
//   - a goodbye counts at once instead of after a second (10.1)
//   - the life of our records is told to one-shot questions that set the
//     unicast-response bit, which no legacy resolver does (6.7)
//   - a one-shot question heard over both families is answered over one
//   - the first question after joining is one-shot, with known answers, though
//     continuous ones follow it (5.1, 5.2)
//   - SRV and address records are not refreshed when they grow old (5.2)
//   - address records count only beside the SRV record that names their host
//   - a contested name is defended ever more rarely, and never changed (9)
package mdns
