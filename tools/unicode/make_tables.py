"""Writes src/text/unicode_tables.c: what the `tokenizers` package thinks of every code point.

The package carries its own Unicode data, of several ages: the categories behind BertNormalizer are of Unicode 8, its
lower-casing is that of the Rust release that built it. Ids are equal to the reference's only if those are followed,
so each table is read off the package's behaviour, one code point at a time, and not off a Unicode release.

usage: python tools/unicode/make_tables.py > src/text/unicode_tables.c      (needs the package tokenizers)
"""

import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)
DECOMPOSING = 0x30000  # no code point from here on decomposes

# The order is that of the constants in src/text/unicode.h.
FLAGS = ["white", "bert_control", "bert_punctuation", "cjk", "bert_mark", "mark", "word", "canonical", "compat",
         "extend", "prepend", "break", "pictograph", "letter", "number", "digit", "stable"]


def bert(**options):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **options}).normalize_str


def word_test():
    """True for what the package's single_word counts as part of a word."""
    tokenizer = Tokenizer(models.WordPiece({"?": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("<m>", single_word=True, normalized=False)])
    return lambda text: tokenizer.encode(text + "<m>").ids == [0]


def charsmap(keys):
    """The normalizer Precompiled, which makes "1" of the keys. In its trie each state has a block of 256 units."""
    states = {b"": 0}
    for key in keys:
        for end in range(1, len(key) + 1):
            states.setdefault(key[:end], len(states))
    units = [0] * (256 * (len(states) + 1))
    units[0] = 256 << 10
    for state, index in states.items():
        if state:
            at = 256 * (states[state[:-1]] + 1) + state[-1]
            units[at] = state[-1] | (state in keys) << 8 | (at ^ 256 * (index + 1)) << 10
    trie = b"".join(unit.to_bytes(4, "little") for unit in units)
    return normalizers.Precompiled(len(trie).to_bytes(4, "little") + trie + b"1\0").normalize_str


def cluster_tests():
    """What the package's grapheme clusters do: (joins what is before, joins what is behind, joins nothing, is an emoji
    that a joiner joins)."""
    after_a, copyright_sign = charsmap({b"a"}), charsmap({b"\xc2\xa9"})
    replaced = {}

    def of_plane(c):
        if c >> 12 not in replaced:
            block = range(c >> 12 << 12, (c >> 12) + 1 << 12)
            replaced[c >> 12] = charsmap({chr(x).encode() for x in block if x and not 0xD800 <= x < 0xE000})
        return replaced[c >> 12]

    return (lambda c: after_a("a" + chr(c)) == "1",
            lambda c: c > 0 and of_plane(c)(chr(c) + "a") == "1" and chr(c) != "a",
            # Where it takes 4 bytes the package itself cannot tell.
            lambda c: 0 < c < 0x10000 and of_plane(c)(chr(c) + "\u0301") != "1" or c == 0,
            lambda c: after_a("a" + chr(c)) != "1" and
            copyright_sign("\u00a9\u200d" + chr(c)) == "1\u200d" + chr(c).replace("\u00a9", "1"))


def class_test(pattern):
    """True for characters that the regular expressions of the pre-tokenizer Split have in the class."""
    split = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str
    return lambda c: split(c) == []


def combining_classes(nfd):
    """The canonical combining class of each code point, up to order: ranks that sort as the classes do."""
    # A mark of the highest class is passed by all others; one of the lowest passes them. Which code points are marks
    # at all follows from the two; their order among each other, from trying each pair of representatives.
    high, low = "\u0345", "\u0334"
    marks = []
    for c in CODE_POINTS:
        if nfd(chr(c)) != chr(c):
            continue  # only what it decomposes to is ever ordered
        if nfd("a" + high + chr(c)) != "a" + high + chr(c) or nfd("a" + chr(c) + low) != "a" + chr(c) + low:
            marks.append(chr(c))
    marks += [mark for mark in (high, low) if mark not in marks]

    def passes(mark, other):
        return nfd("a" + other + mark) != "a" + other + mark

    groups = []  # ascending; each a list of marks that never pass one another
    for mark in marks:
        at = 0
        while at < len(groups) and passes(groups[at][0], mark):
            at += 1
        if at < len(groups) and not passes(mark, groups[at][0]):
            groups[at].append(mark)
        else:
            groups.insert(at, [mark])
    return {ord(mark): rank + 1 for rank, group in enumerate(groups) for mark in group}


def compositions(nfd, nfc):
    """(first, second) -> what they compose to, Hangul aside."""
    pairs = {}
    for c in CODE_POINTS:
        full = nfd(chr(c))
        if c in HANGUL or len(full) < 2 or nfc(chr(c)) != chr(c):
            continue
        first = nfc(full[:-1])
        assert len(first) == 1 and nfc(first + full[-1]) == chr(c), hex(c)
        pairs[ord(first), ord(full[-1])] = c
    return pairs


def properties(pairs):
    """For each code point a tuple (flags, combining rank, distance to the lower-case letter)."""
    nfd, nfkd, nfc = (form().normalize_str for form in (normalizers.NFD, normalizers.NFKD, normalizers.NFC))
    joining = {second for _, second in pairs} | {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    clean, cjk = bert(clean_text=True), bert(handle_chinese_chars=True)
    strip, lower = bert(strip_accents=True), bert(lowercase=True)
    marks = normalizers.StripAccents().normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    digits = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str
    letter, number, space = class_test(r"\p{L}"), class_test(r"\p{N}"), class_test(r"\s")
    word, ranks = word_test(), combining_classes(nfd)
    extends, prepends, breaks, pictures = cluster_tests()
    table = [(0, 0, 0)] * 0x110000
    for c in CODE_POINTS:
        s = chr(c)
        pieces = [piece for piece, _ in split("a" + s + "b")]
        lowered = lower(s)
        assert len(lowered) == 1 or (c, lowered) == (0x130, "i\u0307"), hex(c)
        assert marks(s) in (s, "") and cjk(s) in (s, f" {s} ") and clean(s) in (s, "", " "), hex(c)
        assert space(s) == (pieces == ["a", "b"]), hex(c)
        facts = {
            "white": pieces == ["a", "b"],
            "bert_control": clean(s) == "",
            "bert_punctuation": pieces == ["a", s, "b"],
            "cjk": cjk(s) != s,
            "bert_mark": strip(s) == "",
            "mark": marks(s) == "",
            "word": word(s),
            "canonical": nfd(s) != s and c not in HANGUL,
            "compat": nfkd(s) != nfd(s),
            "extend": extends(c),
            "prepend": prepends(c),
            "break": breaks(c),
            "pictograph": pictures(c),
            "letter": letter(s),
            "number": number(s),
            "stable": nfc(s) == s and c not in ranks and c not in joining,
            "digit": len(digits("a" + s)) == 2,
        }
        flags = sum(1 << bit for bit, name in enumerate(FLAGS) if facts[name])
        table[c] = (flags, ranks.get(c, 0), ord(lowered[0]) - c if len(lowered) == 1 else 0)
    return table


def two_stage(values, bits):
    """values cut into blocks of 2**bits, equal blocks stored once."""
    size, blocks, order, first = 1 << bits, {}, [], []
    for start in range(0, len(values), size):
        block = tuple(values[start : start + size])
        if block not in blocks:
            blocks[block] = len(order)
            order.append(block)
        first.append(blocks[block])
    return first, [value for block in order for value in block]


def print_array(kind, name, items):
    print(f"\nconst {kind} {name}[{len(items)}] = {{")
    line = "   "
    for item in items:
        text = f" {item},"
        if len(line) + len(text) > 120:
            print(line)
            line = "   "
        line += text
    print(line + "\n};")


def print_decompositions(name, form, is_member):
    """Pool entries are a length and that many code points; index 0 is for none, as beyond the planes in the table."""
    pool, index, seen = [0], [0] * DECOMPOSING, {}
    for c in CODE_POINTS:
        if not is_member(c):
            continue
        parts = tuple(ord(x) for x in form(chr(c)))
        assert len(parts) <= 18, hex(c)  # CEI_UNICODE_MAX_DECOMPOSITION
        if parts not in seen:
            seen[parts] = len(pool)
            pool += [len(parts), *parts]
        index[c] = seen[parts]
    first, second = two_stage(index, 6)
    assert len(pool) < 65536 and max(first) < 65536
    print_array("uint16_t", f"cei_unicode_{name}_first", first)
    print_array("uint16_t", f"cei_unicode_{name}_second", second)
    print_array("uint32_t", f"cei_unicode_{name}_pool", pool)


def main():
    nfd, nfc = normalizers.NFD().normalize_str, normalizers.NFC().normalize_str
    nfkd = normalizers.NFKD().normalize_str
    pairs = compositions(nfd, nfc)
    table = properties(pairs)
    records = sorted(set(table))
    where = {record: i for i, record in enumerate(records)}
    first, second = two_stage([where[record] for record in table], 7)
    assert max(first) < 65536 and len(records) <= 256

    print(f"""/* unicode_tables.c - generated by tools/unicode/make_tables.py; do not edit.
 *
 * From the package tokenizers {tokenizers.__version__}.
 *
 * The layout is explained in unicode_tables.h. */
/* clang-format off */
#include "text/unicode_tables.h"
""", end="")
    print_array("uint16_t", "cei_unicode_first", first)
    print_array("uint8_t", "cei_unicode_second", second)
    rows = [f"{{{lower}, {flags}, {rank}}}" for flags, rank, lower in records]
    print_array("cei_unicode_record", "cei_unicode_records", rows)
    flag = {name: 1 << bit for bit, name in enumerate(FLAGS)}
    print_decompositions("canonical", nfd, lambda c: table[c][0] & flag["canonical"])
    print_decompositions("compat", nfkd, lambda c: table[c][0] & flag["compat"])
    rows = [f"{{{a}, {b}, {c}}}" for (a, b), c in sorted(pairs.items())]
    print_array("cei_unicode_pair", "cei_unicode_pairs", rows)
    print(f"\nconst size_t cei_unicode_pair_count = {len(pairs)};")
    print(f"{len(records)} records, {len(second)} entries, {len(pairs)} pairs", file=sys.stderr)


if __name__ == "__main__":
    main()
