package mesh

import "example.com/tcpnet/internal/link"

// A scenario is a world to begin with and what may happen in it.
type scenario struct {
	name        string
	ids         []link.ID // of the nodes of hosts A, B, …
	learns      [][]bool  // whom discovery tells of whom
	seeds       [][2]int  // which node has which other's address as its seed
	blocked     [][2]int  // from where to where nobody can connect
	budget      budget
	returns     bool    // nodes that have ended are started again
	newID       link.ID // with this ID, if not empty
	samePort    bool    // and at the same port
	only        int     // the only node that may die, counted from 1; 0: all
	cutConns    bool    // cuts hit connections too
	undisturbed bool    // nobody may lose a connection before anything has gone wrong
	views       bool    // digests are compared too
	duplicates  bool    // B and C have one ID
	mutant      mutant
	deep        bool // for -explore.deep only
}

func everyoneLearns(n int) (l [][]bool) {
	for i := range n {
		l = append(l, make([]bool, n))
		for j := range n {
			l[i][j] = i != j
		}
	}
	return l
}

func (sc *scenario) reach(from, to int) bool {
	for _, b := range sc.blocked {
		if b == [2]int{from, to} {
			return false
		}
	}
	return true
}

func (sc *scenario) mortal(host int) bool { return sc.only == 0 || sc.only == host+1 }

// good reports whether the nodes agree as they should.
func (sc *scenario) good(w *world) bool {
	if !sc.duplicates {
		for _, p := range sc.pairs() {
			if !w.agree(p[0], p[1]) {
				return false
			}
		}
		return true
	}
	// The first of two with one ID keeps its place, and everyone has been told.
	for _, n := range w.nodes {
		if !n.told {
			return false
		}
	}
	return w.agree(0, 1) != w.agree(0, 2)
}

// aware reports whether of every two nodes that do not agree one who can do
// something about it knows.
func (sc *scenario) aware(w *world) bool {
	if sc.duplicates {
		return false
	}
	some := false
	for _, p := range sc.pairs() {
		if !w.agree(p[0], p[1]) {
			if !w.knows(p[0], p[1]) {
				return false
			}
			some = true
		}
	}
	return some
}

// pairs are every two nodes.
func (sc *scenario) pairs() (ps [][2]int) {
	for i := range sc.ids {
		for j := range i {
			ps = append(ps, [2]int{j, i})
		}
	}
	return ps
}

// pair is A and B, who learn of each other.
func pair(name string, b budget, change func(*scenario)) *scenario {
	sc := &scenario{name: name, ids: []link.ID{"A", "B"}, learns: everyoneLearns(2), budget: b}
	if change != nil {
		change(sc)
	}
	return sc
}

// twins are two nodes with one ID, B and C. They do not learn of each other.
func twins(name string, ids []link.ID, known bool, b budget) *scenario {
	return &scenario{
		name: name, ids: ids, duplicates: true, undisturbed: true, budget: b,
		learns: [][]bool{{false, known, known}, {true, false, false}, {true, false, false}},
	}
}

// trio is A, B and C.
func trio(name string, b budget, change func(*scenario)) *scenario {
	sc := &scenario{name: name, ids: []link.ID{"A", "B", "C"}, learns: everyoneLearns(3), budget: b}
	change(sc)
	return sc
}

// scenarios are what is explored: all of them in each run of the tests, but those
// marked deep.
func scenarios() []*scenario {
	back := func(sc *scenario) { sc.returns = true }
	samePort := func(sc *scenario) { sc.returns, sc.samePort = true, true }
	newID := func(sc *scenario) { sc.returns, sc.newID, sc.only = true, "C", 2 }
	newIDSamePort := func(sc *scenario) { newID(sc); sc.samePort = true }
	smallerID := func(sc *scenario) { sc.returns, sc.newID, sc.only, sc.ids = true, "A", 2, []link.ID{"B", "C"} }
	conns := func(sc *scenario) { sc.cutConns = true }
	onlyAToB := func(sc *scenario) { sc.returns, sc.blocked = true, [][2]int{{1, 0}} }
	onlyBToA := func(sc *scenario) { sc.returns, sc.blocked = true, [][2]int{{0, 1}} }
	aLearns := func(sc *scenario) { sc.returns, sc.learns = true, [][]bool{{false, true}, {false, false}} }
	bLearns := func(sc *scenario) { sc.returns, sc.learns = true, [][]bool{{false, false}, {true, false}} }
	nobody := [][]bool{{false, false}, {false, false}}
	aHasSeed := func(sc *scenario) {
		sc.learns, sc.seeds, sc.returns, sc.samePort = nobody, [][2]int{{0, 1}}, true, true
	}
	bHasSeed := func(sc *scenario) {
		sc.learns, sc.seeds, sc.returns, sc.samePort = nobody, [][2]int{{1, 0}}, true, true
	}
	seedAndDiscovery := func(sc *scenario) { sc.seeds = [][2]int{{0, 1}, {1, 0}} }
	// Of every two of three the one with the smaller ID learns of the other.
	downhill := func(sc *scenario) {
		sc.learns = [][]bool{{false, true, true}, {false, false, true}, {false, false, false}}
	}
	sharedSeed := func(sc *scenario) {
		sc.learns = [][]bool{make([]bool, 3), make([]bool, 3), make([]bool, 3)}
		sc.seeds = [][2]int{{0, 1}, {2, 1}}
	}
	deep := func(sc *scenario) *scenario { sc.deep = true; return sc }
	return []*scenario{
		pair("nothing goes wrong", budget{}, func(sc *scenario) { sc.undisturbed = true }),
		pair("seeds and discovery", budget{}, func(sc *scenario) { seedAndDiscovery(sc); sc.undisturbed = true }),
		pair("a second socket", budget{hedges: 1}, func(sc *scenario) { sc.undisturbed = true }),
		deep(pair("two second sockets", budget{hedges: 2}, nil)),
		deep(pair("second sockets and a cut", budget{hedges: 1, cuts: 1}, nil)),
		deep(pair("second sockets and a power cut", budget{hedges: 1, powers: 1}, back)),
		pair("a cut", budget{cuts: 1}, nil),
		deep(pair("two cuts", budget{cuts: 2}, nil)),
		deep(pair("cuts of connections", budget{cuts: 1, closes: 1}, conns)),
		deep(pair("false timeouts", budget{slow: 2}, nil)),
		deep(pair("a cut and false timeouts", budget{cuts: 1, slow: 1}, nil)),
		pair("programs close", budget{closes: 3}, nil),
		deep(pair("a cut while programs close", budget{cuts: 1, closes: 2}, nil)),
		pair("a restart", budget{kills: 1}, back),
		deep(pair("a restart at the same port", budget{kills: 1}, samePort)),
		pair("a restart with another ID", budget{kills: 1}, newID),
		deep(pair("a restart with another ID at the same port", budget{kills: 1}, newIDSamePort)),
		pair("a restart with a smaller ID after a power cut", budget{powers: 1}, smallerID),
		pair("a power cut", budget{powers: 1}, back),
		deep(pair("a power cut and the same port", budget{powers: 1, closes: 1}, samePort)),
		deep(pair("a power cut and a cut", budget{powers: 1, cuts: 1}, back)),
		deep(pair("a power cut and false timeouts", budget{powers: 1, slow: 1}, back)),
		deep(pair("a restart of B and false timeouts", budget{kills: 1, slow: 1}, func(sc *scenario) { sc.returns, sc.only = true, 2 })),
		pair("killed for good", budget{kills: 1, cuts: 1}, nil),
		pair("a power cut for good", budget{powers: 1, closes: 1}, nil),
		deep(pair("leaves", budget{shutdowns: 1, closes: 1}, nil)),
		pair("leaves and comes back", budget{shutdowns: 1}, back),
		pair("both leave", budget{shutdowns: 2}, nil),
		pair("closes", budget{aborts: 1, cuts: 1}, nil),
		deep(pair("closes and comes back", budget{aborts: 1}, samePort)),
		deep(pair("the network changes", budget{nets: 2, cuts: 1}, nil)),
		pair("only A reaches B, cuts", budget{cuts: 2}, onlyAToB),
		pair("only B reaches A, cuts", budget{cuts: 2}, onlyBToA),
		deep(pair("only A reaches B, restarts", budget{powers: 1, kills: 1, closes: 1}, onlyAToB)),
		deep(pair("only B reaches A, restarts", budget{powers: 1, kills: 1, closes: 1}, onlyBToA)),
		deep(pair("only A reaches B, false timeouts", budget{slow: 2, cuts: 1}, onlyAToB)),
		deep(pair("only B reaches A, false timeouts", budget{slow: 2, cuts: 1}, onlyBToA)),
		pair("only A learns", budget{cuts: 1, powers: 1}, aLearns),
		pair("only B learns", budget{cuts: 1, powers: 1}, bLearns),
		pair("A has a seed", budget{cuts: 1}, aHasSeed),
		pair("B has a seed", budget{cuts: 1}, bHasSeed),
		pair("a false timeout", budget{slow: 1}, nil),
		pair("A leaves", budget{shutdowns: 1}, nil),
		pair("the network changes once", budget{nets: 1}, nil),
		pair("only A reaches B, a restart", budget{kills: 1}, onlyAToB),
		pair("only B reaches A, a restart", budget{kills: 1}, onlyBToA),
		pair("only A reaches B, a power cut", budget{powers: 1}, onlyAToB),
		pair("only B reaches A, a power cut", budget{powers: 1}, onlyBToA),
		pair("only A reaches B, a false timeout", budget{slow: 1}, onlyAToB),
		pair("only B reaches A, a false timeout", budget{slow: 1}, onlyBToA),
		deep(pair("A has a seed and restarts happen", budget{kills: 1}, aHasSeed)),
		deep(pair("B has a seed and restarts happen", budget{kills: 1}, bHasSeed)),
		twins("two with one larger ID, who know A", []link.ID{"A", "B", "B"}, false, budget{}),
		twins("two with one smaller ID, who know A", []link.ID{"B", "A", "A"}, false, budget{}),
		deep(twins("two with one larger ID, and a cut", []link.ID{"A", "B", "B"}, false, budget{cuts: 1})),
		deep(twins("two with one larger ID", []link.ID{"A", "B", "B"}, true, budget{})),
		deep(twins("two with one smaller ID", []link.ID{"B", "A", "A"}, true, budget{})),
		trio("three", budget{}, downhill),
		trio("three, two of them with the third as their seed", budget{}, sharedSeed),
		deep(trio("three, and a restart of the largest", budget{kills: 1}, func(sc *scenario) { downhill(sc); sc.returns, sc.only = true, 3 })),
		deep(trio("three, and a power cut of the largest", budget{powers: 1}, func(sc *scenario) { downhill(sc); sc.returns, sc.only = true, 3 })),
		deep(pair("two power cuts", budget{powers: 2}, back)),
		deep(pair("two restarts", budget{kills: 2}, func(sc *scenario) { sc.returns, sc.only = true, 1 })),
		deep(pair("a restart and a cut", budget{kills: 1, cuts: 1}, back)),
		deep(pair("leaves, false timeouts", budget{shutdowns: 1, slow: 1}, nil)),
		deep(pair("leaves, a cut", budget{shutdowns: 1, cuts: 1}, nil)),
	}
}
