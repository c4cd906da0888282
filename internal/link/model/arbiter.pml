/*
 * Which of several links between two nodes survives: PROTOCOL.md section 5.2 as a
 * model for Spin. README.md says what it covers, and what it does not.
 *
 * Each link is a TCP connection with two ends. End 2k is the dialler's end of link
 * k, end 2k+1 the acceptor's. A process End carries out what can happen at one end:
 * a message arrives, a timer fires. A process Node dials, and Faults does damage,
 * as often as the scenario allows. Every step is atomic, as it is in the real core.
 *
 * A scenario is a set of macros given to spin with -D: how often may
 *   CUTS    a link go dead, of which nobody is told,
 *   SLOW    a timer fire although the answer would have come,
 *   KILLS   a process end and start again with the same ID (its kernel tells),
 *   POWERS  a machine end and start again with the same ID (nobody tells),
 * and
 *   ONLY=n  only node n can reach the other,
 *   TWIN=n  a third node uses the ID of node n.
 * A mutant is a rule that is not the protocol's: see README.md.
 */

#ifndef CUTS
#define CUTS 0
#endif
#ifndef SLOW
#define SLOW 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef POWERS
#define POWERS 0
#endif
#ifndef LINKS
#define LINKS 4	/* at most at a time: 2 to 6 */
#endif

#define ENDS		(2*LINKS)
#define NONE		ENDS
#define OTHER(e)	((e)^1)
#define LINK(e)		((e)>>1)
#define ACCEPTOR(e)	((e)&1)

/* Node 0 has the smaller ID and is the arbiter, node 1 is the other side. */
#ifdef TWIN
#define NODES	3
#define ID(n)	((n)==2 -> TWIN : (n))
#else
#define NODES	2
#define ID(n)	(n)
#endif
#ifdef BOTH_DECIDE
#define DECIDES(n)	true
#else
#define DECIDES(n)	(ID(n) == 0)
#endif

mtype = { HELLO, COMMIT, REJECT, GOODBYE, PING, PONG, FIN };

/* How far an end has come. */
mtype = {
	closed,
	dialled,	/* HELLO is sent, the other's is awaited */
	accepted,	/* HELLO is awaited */
	again,		/* the arbiter has yet to say what becomes of it */
	waiting,	/* for what comes of the probe of another link */
	pending,	/* for COMMIT */
	committed	/* it is the one */
};

mtype st[ENDS] = closed;
byte at[ENDS];			/* the node whose end it is */
byte peer[ENDS];		/* the incarnation that the HELLO named */
byte seq[ENDS];			/* of the COMMIT that came in, or 0 */
bool lost[LINKS];		/* nothing passes any more */
bool shared[LINKS];		/* both sides have committed it */
chan q[ENDS] = [6] of { mtype, byte };	/* what is on its way to an end */

byte cur[NODES] = NONE;		/* a node's committed end */
bool probing[NODES];		/* a PONG is awaited on it */
byte gen[NODES];		/* restarts */
byte next[NODES];		/* the sequence of the last COMMIT */

byte cuts = CUTS, slow = SLOW, kills = KILLS, powers = POWERS;
bool disturbed;			/* something has gone wrong */

#define INC(n)	((n) + NODES*gen[n])

byte i, j, m, who;		/* scratch, 0 between steps */
mtype frame;
byte value;

/* --- sockets --- */

inline send(e, f, v) {
	if
	:: !lost[LINK(e)] && st[OTHER(e)] != closed ->
		printf("  sends %e(%d) to end %d\n", f, v, OTHER(e));
		assert(nfull(q[OTHER(e)]));
		q[OTHER(e)]!f,v
	:: else
	fi
}

inline drain(e) {
	do
	:: q[e]?_,_
	:: empty(q[e]) -> break
	od
}

/* shut closes an end. A kernel that has received what nobody has read may reset the
   connection, and a reset can destroy what is on its way. */
inline shut(e) {
	if
	:: nempty(q[e]) && !lost[LINK(e)] -> drain(OTHER(e))
	:: true
	fi;
	send(e, FIN, 0);
	vanish(e)
}

/* vanish ends an end without a word. */
inline vanish(e) {
	drain(e);
	st[e] = closed; peer[e] = 0; seq[e] = 0; at[e] = 0;
	if
	:: st[OTHER(e)] == closed -> lost[LINK(e)] = false; shared[LINK(e)] = false
	:: else
	fi
}

/* --- the arbiter, as internal/link/arbiter.go has it --- */

/* contest lets an end wait until the committed one has shown whether it lives. */
inline contest(n, e) {
#if defined(TRUST_OLD)
	send(e, REJECT, 0);
	shut(e)
#elif defined(TRUST_NEW)
	drop(n);
	resettle(n);
	st[e] = again
#else
	st[e] = waiting;
	if
	:: !probing[n] ->
		probing[n] = true;
		send(cur[n], PING, 0)
	:: else
	fi
#endif
}

inline take(n, e) {
	printf("  has end %d now\n", e);
	cur[n] = e;
	st[e] = committed;
	shared[LINK(e)] = (st[OTHER(e)] == committed)
}

/* NO HARM: a link that both sides have is not lost while nothing goes wrong. */
inline unharmed(e) { assert(disturbed || !shared[LINK(e)]) }

/* drop gives the committed end up, with GOODBYE. */
inline drop(n) {
	m = cur[n];
	unharmed(m);
	cur[n] = NONE; probing[n] = false;
	send(m, GOODBYE, 0);
	shut(m);
	m = 0
}

/* resettle has those considered again who waited for a link that is gone. */
inline resettle(n) {
	j = 0;
	do
	:: j < ENDS ->
		if
		:: st[j] == waiting && at[j] == n -> st[j] = again
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

#ifdef NO_VETO
#define STRANGE(n, e)	false
#else
#define STRANGE(n, e)	(peer[cur[n]] != peer[e])
#endif

#ifdef HOARDS
#define RIVALS(n, e)	false
#else
#define RIVALS(n, e)	(DECIDES(n) || STRANGE(n, e))
#endif

inline consider(n, e) {
	if
	:: cur[n] != NONE && RIVALS(n, e) -> contest(n, e)
	:: else ->
		if
		:: DECIDES(n) ->
			if
			:: ACCEPTOR(e) -> send(e, HELLO, INC(n))
			:: else
			fi;
			next[n]++;
			send(e, COMMIT, next[n]);
			take(n, e)
		:: !DECIDES(n) && seq[e] == 0 ->
			st[e] = pending;
			if
			:: ACCEPTOR(e) -> send(e, HELLO, INC(n))
			:: else
			fi
		:: !DECIDES(n) && seq[e] != 0 -> adopt(n, e)
		fi
	fi
}

#ifdef NO_SEQUENCE
#define OVERTAKEN(n, e)	false
#else
#define OVERTAKEN(n, e)	(peer[e] == peer[cur[n]] && seq[e] < seq[cur[n]])
#endif

/* adopt takes an end on the arbiter's word. */
inline adopt(n, e) {
	if
	:: cur[n] == NONE ->
		take(n, e);
		resettle(n)
	:: cur[n] != NONE && OVERTAKEN(n, e) ->
		send(e, REJECT, 0);
		shut(e)
	:: cur[n] != NONE && !OVERTAKEN(n, e) ->
		/* NO RELAPSE: nobody gives up what the arbiter holds for what it held before. */
		assert(lost[LINK(cur[n])] || st[OTHER(cur[n])] != committed || peer[e] != peer[cur[n]]);
		drop(n);
		take(n, e);
		resettle(n)
	fi
}

/* settle considers all that are to be considered, in any order. */
inline settle(n) {
	do
	:: 	if
		:: st[0] == again && at[0] == n -> i = 0
		:: st[1] == again && at[1] == n -> i = 1
		:: st[2] == again && at[2] == n -> i = 2
		:: st[3] == again && at[3] == n -> i = 3
#if LINKS > 2
		:: st[4] == again && at[4] == n -> i = 4
		:: st[5] == again && at[5] == n -> i = 5
#endif
#if LINKS > 3
		:: st[6] == again && at[6] == n -> i = 6
		:: st[7] == again && at[7] == n -> i = 7
#endif
#if LINKS > 4
		:: st[8] == again && at[8] == n -> i = 8
		:: st[9] == again && at[9] == n -> i = 9
#endif
#if LINKS > 5
		:: st[10] == again && at[10] == n -> i = 10
		:: st[11] == again && at[11] == n -> i = 11
#endif
		:: else -> break
		fi;
		consider(n, i);
		i = 0
	od;
	i = 0
}

/* answered rejects those who waited: the committed link lives. */
inline answered(n) {
	probing[n] = false;
	j = 0;
	do
	:: j < ENDS ->
		if
		:: st[j] == waiting && at[j] == n ->
			send(j, REJECT, 0);
			shut(j)
		:: else
		fi;
		j++
	:: else -> break
	od;
	j = 0
}

/* ended says that an end is over; it has been shut. */
inline ended(n, e) {
	if
	:: cur[n] == e ->
		cur[n] = NONE; probing[n] = false;
		resettle(n)
	:: else
	fi
}

/* --- what is true at every moment --- */

#define HOLDS(n, k)	(cur[n] == 2*(k) || cur[n] == 2*(k)+1)
#define WHOLE(e)	(!lost[LINK(e)] && st[e] != closed && st[OTHER(e)] != closed)
#define APART(a, b)	(cur[a] != NONE && cur[b] != NONE && LINK(cur[a]) != LINK(cur[b]) && \
			 at[OTHER(cur[a])] == (b) && at[OTHER(cur[b])] == (a) && WHOLE(cur[a]) && WHOLE(cur[b]))
#define AGREE(a, b)	(cur[a] != NONE && cur[b] == OTHER(cur[a]) && !lost[LINK(cur[a])])

inline check() {
	/* NO DOUBLE: the committed end of a node is the one that it holds. */
	j = 0;
	do
	:: j < ENDS ->
		assert((st[j] == committed) == (st[j] != closed && cur[at[j]] == j));
		assert(st[j] != again);
		j++
	:: else -> break
	od;
	j = 0;
	/* NO SPLIT: two nodes do not hold two links that both work. */
	assert(!APART(0, 1));
#ifdef TWIN
	assert(!APART(2, 1-TWIN))
#endif
}

/* --- what happens --- */

/* A timer that is bound to fire, because nothing can come any more. */
#define MUTE(e)		(lost[LINK(e)] && len(q[e]) == 0)
#define HOPELESS(e)	(MUTE(e) || probing[at[e]] && (lost[LINK(e)] || st[OTHER(e)] == closed))

proctype End(byte e) {
end:	do
	:: atomic {
		if
		:: nempty(q[e]) ->
			q[e]?frame,value;
			who = at[e];
			printf("node %d, end %d: gets %e(%d)\n", who, e, frame, value);
			if
			:: frame == HELLO ->
				assert(st[e] == dialled || st[e] == accepted);
				peer[e] = value;
				st[e] = again
			:: frame == COMMIT && (st[e] == waiting || st[e] == pending) ->
				seq[e] = value;
				if
				:: st[e] == pending -> st[e] = again
				:: else
				fi
			:: frame == PING && st[e] == committed -> send(e, PONG, 0)
			:: frame == PONG && st[e] == committed && probing[who] -> answered(who)
			:: frame == REJECT || frame == GOODBYE || frame == FIN ->
				if
				:: cur[who] == e -> unharmed(e)
				:: else
				fi;
				shut(e);
				ended(who, e)
			:: else
			fi;
			frame = 0; value = 0
		/* The time for the handshake is up. */
		:: st[e] != closed && st[e] != committed && (MUTE(e) || slow > 0) ->
			who = at[e];
			if
			:: MUTE(e)
			:: !MUTE(e) -> slow--; disturbed = true
			fi;
			printf("node %d, end %d: the handshake takes too long\n", who, e);
			shut(e)
		/* A probe was not answered, or nothing was heard for too long. */
		:: st[e] == committed && (HOPELESS(e) || slow > 0) ->
			who = at[e];
			if
			:: HOPELESS(e)
			:: !HOPELESS(e) -> slow--; disturbed = true
			fi;
			printf("node %d, end %d: no answer\n", who, e);
			drop(who);
			resettle(who)
		fi;
		settle(who);
		who = 0;
		check()
	}
	od
}

#define FREE(k)		(st[2*(k)] == closed && st[2*(k)+1] == closed)
#define TRYING(n, k)	(k < LINKS && at[2*(k)%ENDS] == n && st[2*(k)%ENDS] != closed && st[2*(k)%ENDS] != committed)
#define IDLE(n)		!(TRYING(n, 0) || TRYING(n, 1) || TRYING(n, 2) || TRYING(n, 3) || TRYING(n, 4) || TRYING(n, 5))

/* dial makes link k from n to o, whose kernel takes it at once. */
inline dial(n, o, k) {
	printf("node %d dials node %d: link %d\n", n, o, k);
	st[2*(k)] = dialled; at[2*(k)] = n;
	st[2*(k)+1] = accepted; at[2*(k)+1] = o;
	send(2*(k), HELLO, INC(n))
}

/* A node dials whenever it has no link and is not dialling already. */
proctype Node(byte n; byte o) {
end:	do
	:: atomic { cur[n] == NONE && IDLE(n) ->
		i = 0;
		do
		:: i < LINKS && !FREE(i) -> i++
		:: else -> break
		od;
		assert(i < LINKS);	/* or LINKS is too small for the scenario */
		dial(n, o, i);
		i = 0;
		check()
	}
	od
}

/* What was on its way when a link goes dead may have arrived in the kernel. */
inline sever(k) {
	lost[k] = true;
	if
	:: drain(2*(k))
	:: true
	fi;
	if
	:: drain(2*(k)+1)
	:: true
	fi
}

inline reborn(n) {
	printf("node %d has started again\n", n);
	cur[n] = NONE; probing[n] = false; next[n] = 0;
	gen[n]++;
	disturbed = true
}

#if CUTS > 0
proctype Cut(byte k) {
end:	do
	:: atomic { cuts > 0 && !FREE(k) && !lost[k] ->
		cuts--;
		disturbed = true;
		printf("link %d is cut\n", k);
		sever(k)
	}
	od
}
#endif

#if KILLS + POWERS > 0
proctype Death(byte n) {
end:	do
	:: atomic { kills > 0 ->
		kills--;
		i = 0;
		do
		:: i < ENDS ->
			if
			:: at[i] == n && st[i] != closed -> shut(i)
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0;
		reborn(n)
	}
	:: atomic { powers > 0 ->
		powers--;
		i = 0;
		do
		:: i < ENDS ->
			if
			:: at[i] == n && st[i] != closed -> sever(LINK(i)); vanish(i)
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0;
		reborn(n)
	}
	od
}
#endif

init {
	atomic {
		i = 0;
		do
		:: i < ENDS -> run End(i); i++
		:: else -> break
		od;
		i = 0;
#if !defined(ONLY) || ONLY == 0
		run Node(0, 1);
#endif
#if !defined(ONLY) || ONLY == 1
		run Node(1, 0);
#endif
#ifdef TWIN
		run Node(2, 1-TWIN);
		run Node(1-TWIN, 2);
#endif
#if KILLS + POWERS > 0
		run Death(0);
		run Death(1);
#endif
#if CUTS > 0
		do
		:: i < LINKS -> run Cut(i); i++
		:: else -> break
		od;
		i = 0
#endif
	}
}

/* However it goes on, the nodes agree again and again: a run that ends ends in
   agreement, and one that does not end never stays without it. No fairness is
   assumed. */
#ifdef TWIN
#define agreed	(AGREE(0, 1) != AGREE(2, 1-TWIN))
#else
#define agreed	AGREE(0, 1)
#endif
ltl agreement { []<>(agreed) }
