"""Whether what was told of one item can have happened: linearizability of a bounded counter.

An item is a stock that is never below zero. Operations, each of which takes effect at one moment
between its call and its return: changes (of stock, by an amount or to one, perhaps with the stock
after it and the version it made), and observations (a read; a denial, which says what the stock
was). The question is whether one order of all of them, in accord with real time, explains every
answer.

The search is just-in-time linearization (Wing and Gong; Lowe): it goes through calls and returns by
time with the set of all configurations that what happened so far allows, and does nothing until an
operation returns; then each configuration in which it has not taken effect is carried on, by all
orders of what is pending, until it has. It is sound and complete: no order is left out but those
that can't matter,

  - an observation takes effect in the first state that allows it: it changes nothing;
  - of pending changes that are told apart by nothing (same amount, same stock after it, no
    version), the one that returns first goes first: any order can be rewritten so by swapping two;
  - a configuration that has seen less than another in the same state is dropped;
  - of the reads that saw one version and one stock, two stand for all (decisive()).

Versions are claims like any other, and they make the search fast: changes that state one must take
effect in the order of versions, so at any moment only one of them can be next. Nothing is believed
because of a version: the order must agree with real time and with the stock, or the item fails.
What states no version (a cancel, a denial, a change of which nobody heard the answer) is searched
for. A read may state a version that no change does: then some change without one made it, and the
search finds which.

SPDX-License-Identifier: Apache-2.0
"""

from bisect import insort
from operator import itemgetter

NEVER = float("inf")  # the return of a change of which it is not known whether it took effect
BUDGET = 3_000_000  # configurations for one search; what needs more is not decided
PRUNE_FROM = 8  # configurations at a time, from which on looking for useless ones is worth it

CHANGE, READ, DENIAL = "change", "read", "denial"


class Op:
    """One operation on one item. Changes have a @delta (None: whatever it was, it is @stock then);
    @stock is the one after the change or the one seen, @version the one made or seen; None: not
    told."""

    __slots__ = ("kind", "call", "ret", "delta", "stock", "version", "what", "bit", "node")

    def __init__(self, kind, call, ret, what, delta=0, stock=None, version=None):
        self.kind, self.call, self.ret, self.what = kind, call, ret, what
        self.delta, self.stock, self.version = delta, stock, version
        self.bit = 0  # its place in a configuration's mask, while it is under way
        self.node = None  # its place in the order of versions

    def after(self, stock):
        """What a change makes of @stock."""
        return self.stock if self.delta is None else stock + self.delta


class Undecided(Exception):
    """The search was given up."""


class Stuck:
    """Why there is no order: an operation that returned and can't have taken effect by then."""

    def __init__(self, op, text):
        self.op, self.text = op, text

    def __str__(self):
        return self.text


class Node:
    """A version that somebody stated, with the change that made it (None: one that states no
    version) and the stock after it (None: not told)."""

    __slots__ = ("version", "op", "stock")

    def __init__(self, version, op, stock):
        self.version, self.op, self.stock = version, op, stock


def order_by_version(ops, stock, version):
    """The nodes, by version, the item's beginning first; or a Stuck."""
    nodes = {version: Node(version, None, stock)}
    for op in ops:
        if op.kind is CHANGE and op.version is not None:
            if op.version in nodes:
                return Stuck(op, f"version {op.version} was made twice: {op.what}, and "
                                 f"{describe(nodes[op.version])}")
            nodes[op.version] = Node(op.version, op, op.stock)
    for op in ops:
        if op.kind is READ and op.version is not None:
            node = nodes.setdefault(op.version, Node(op.version, None, op.stock))
            if node.stock is None:
                node.stock = op.stock
            if node.stock != op.stock:
                return Stuck(op, f"version {op.version} is stock {node.stock} by "
                                 f"{describe(node)}, and {op.stock} by {op.what}")
    ordered = sorted(nodes.values(), key=lambda node: node.version)
    if ordered[0].version != version:
        return Stuck(ordered[0].op, f"version {ordered[0].version} is older than the item")
    place = {node.version: index for index, node in enumerate(ordered)}
    for op in ops:
        if op.version is not None:
            op.node = place[op.version]
    return ordered


def describe(node):
    return node.op.what if node.op is not None else "another read or the beginning"


class Search:
    """One search. A configuration is (stock, node, moved, done): the stock; the last node that took
    effect; whether a change without a version came after it; and a mask of the operations that are
    under way and have taken effect."""

    def __init__(self, nodes, stock):
        self.nodes = nodes  # None: versions are not looked at
        self.configs = {(stock, 0, False, 0)}
        self.free_bits = []
        self.bits = 0
        self.alike = {}  # (delta, stock after it): [(return, call, op), ...] under way, in order
        self.at_stock = {}  # stock: mask of the observations under way that saw it
        self.at_node = {}  # node: mask of the reads under way that saw it
        self.observations = 0  # mask of all of these
        self.spent = 0

    def run(self, ops):
        """None if there is an order, else a Stuck."""
        events = [(op.call, 0, op) for op in ops]
        events += [(op.ret, 1, op) for op in ops if op.ret != NEVER]
        events.sort(key=itemgetter(0, 1))
        for _, returns, op in events:
            if not returns:
                self.begin(op)
                continue
            before = self.configs
            self.configs = self.carry_on(op)
            if not self.configs:
                return Stuck(op, self.explain(op, before))
            self.end(op)
        return None

    def begin(self, op):
        if self.free_bits:
            op.bit = self.free_bits.pop()
        else:
            op.bit, self.bits = 1 << self.bits, self.bits + 1
        if op.kind is not CHANGE:
            table, place = self.observed(op)
            table[place] = table.get(place, 0) | op.bit
            self.observations |= op.bit
            self.configs = {self.see(*config) for config in self.configs}
        elif not self.in_order(op):
            insort(self.alike.setdefault((op.delta, op.stock), []), (op.ret, op.call, id(op), op))

    def end(self, op):
        """All configurations have it behind them."""
        if op.kind is not CHANGE:
            table, place = self.observed(op)
            table[place] &= ~op.bit
            if table[place] == 0:
                del table[place]
            self.observations &= ~op.bit
        elif not self.in_order(op):
            group = self.alike[op.delta, op.stock]
            group.remove((op.ret, op.call, id(op), op))
            if not group:
                del self.alike[op.delta, op.stock]
        self.free_bits.append(op.bit)
        op.bit = 0

    def in_order(self, op):
        return self.nodes is not None and op.node is not None

    def observed(self, op):
        if self.in_order(op):
            return self.at_node, op.node
        return self.at_stock, op.stock

    def see(self, stock, node, moved, done):
        """The configuration, with the observations made that this state allows."""
        done |= self.at_stock.get(stock, 0)
        if not moved:
            done |= self.at_node.get(node, 0)
        return stock, node, moved, done

    def carry_on(self, op):
        """All configurations in which @op has taken effect, without its bit."""
        bit = op.bit
        result, todo = set(), []
        for config in self.configs:
            if config[3] & bit:
                result.add(config[:3] + (config[3] & ~bit,))
            else:
                todo.append(config)
        seen = set(todo)
        while todo:
            for config in self.next_to(*todo.pop()):
                if config in seen:
                    continue
                seen.add(config)
                if config[3] & bit:
                    result.add(config[:3] + (config[3] & ~bit,))
                else:
                    todo.append(config)
        self.spent += len(seen)
        if self.spent > BUDGET:
            raise Undecided()
        return self.prune(result) if len(result) > PRUNE_FROM else result

    def next_to(self, stock, node, moved, done):
        """The configurations one change further on."""
        made_by = None
        if self.nodes is not None and node + 1 < len(self.nodes):
            made_by = self.nodes[node + 1]
            op = made_by.op
            if op is not None and op.bit and not done & op.bit:
                after = op.after(stock)
                if after >= 0 and made_by.stock in (None, after):
                    yield self.see(after, node + 1, False, done | op.bit)
        for (_, told), group in self.alike.items():
            after = group[0][-1].after(stock)
            if after < 0 or told not in (None, after):
                continue
            for *_, op in group:
                if not done & op.bit:
                    yield self.see(after, node, self.nodes is not None, done | op.bit)
                    if made_by is not None and made_by.op is None and made_by.stock == after:
                        yield self.see(after, node + 1, False, done | op.bit)
                    break

    def prune(self, configs):
        """Without those that have made fewer observations than another that is else the same."""
        groups = {}
        for config in configs:
            rest = config[:3] + (config[3] & ~self.observations,)
            groups.setdefault(rest, []).append(config[3] & self.observations)
        kept = set()
        for rest, masks in groups.items():
            masks.sort(key=lambda mask: -mask.bit_count())
            best = []
            for mask in masks:
                if not any(mask & other == mask for other in best):
                    best.append(mask)
                    kept.add(rest[:3] + (rest[3] | mask,))
        return kept

    def explain(self, op, configs):
        stocks = sorted({config[0] for config in configs})
        text = f"{op.what} can't have happened by its return; by then the stock was, before what " \
               f"was under way, {' or '.join(map(str, stocks[:5]))}"
        if self.nodes is not None:
            versions = sorted({self.nodes[config[1]].version for config in configs})
            text += f" (version {' or '.join(map(str, versions[:5]))})"
        return text


def decisive(ops):
    """The operations without the reads that can't matter while versions are looked at.

    A version is the present one for one span of time, from the change that made it to the next one.
    A read of it takes effect in that span: it returns no earlier than the span begins, and was
    called before it ends. All reads of one version and one stock allow what two of them allow: the
    one that returned first, and the one that was called last. So tens of thousands of reads cost
    next to nothing, and not one of them is believed."""
    kept, first, last = [], {}, {}
    for op in ops:
        if op.kind is not READ or op.version is None:
            kept.append(op)
            continue
        seen = op.version, op.stock
        if seen not in first:
            first[seen] = last[seen] = op
        elif op.ret < first[seen].ret:
            first[seen] = op
        if op.call > last[seen].call:
            last[seen] = op
    kept += first.values()
    return kept + [op for seen, op in last.items() if op is not first[seen]]


def search(ops, stock, version, versions=True):
    """None if there is an order of @ops that begins at @stock and @version, else a Stuck.
    @versions: whether what they say of versions must be true, too. Raises Undecided."""
    nodes = None
    if versions:
        ops = decisive(ops)
    for op in ops:
        op.bit, op.node = 0, None
    if versions:
        nodes = order_by_version(ops, stock, version)
        if isinstance(nodes, Stuck):
            return nodes
    return Search(nodes, stock).run(ops)


def judge_item(ops, stock, version):
    """The law that the operations of an item break, and how: None, or a pair of texts.

    Denials break it if all else can have happened; versions do if all can have happened with
    other versions; else it is the stock itself."""
    try:
        stuck = search(ops, stock, version)
    except Undecided:
        return "linearizability", f"not decided after {BUDGET} configurations"
    if stuck is None:
        return None
    without = [op for op in ops if op.kind is not DENIAL]
    for law, others, versions in (("denials", without, True), ("versions", ops, False)):
        try:
            if search(others, stock, version, versions) is None:
                return law, str(stuck)
        except Undecided:
            pass  # broken it is, in any case
    return "linearizability", str(stuck)
