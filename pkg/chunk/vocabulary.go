package chunk

import (
	"hash/maphash"
	"math"
)

// vocabulary maps tokens to their ranks: the pair with the lowest rank is merged first. Counting
// spends most of its time on looking up strings, and most of that on waiting for memory. So the
// vocabulary is a hash table with open addressing, and smaller tables that fit into a cache of the
// processor are consulted before it.
type vocabulary struct {
	seed       maphash.Seed
	pairs      [1 << 16]uint32               // ranks of the tokens of two bytes
	filter     [1 << (filterBits - 6)]uint64 // one bit for each hash; most strings that are not tokens have an unset bit
	slots      [1 << slotBits]slot
	longTokens string // the tokens of more than shortToken bytes, concatenated
}

const (
	slotBits   = 18 // more than twice as many slots as tokens
	filterBits = 20
	shortToken = 7 // maximum length in bytes of a token that is stored in its key
)

// slot holds a token. It is empty if the key is 0.
type slot struct {
	key    uint64 // the highest byte is the length, the rest the bytes of a short token, or a hash
	rank   uint32
	offset uint32 // of a long token in longTokens
}

// unranked is the rank of a string that is not a token.
const unranked = math.MaxUint32

func newVocabulary() *vocabulary {
	v := &vocabulary{seed: maphash.MakeSeed()}
	for i := range v.pairs {
		v.pairs[i] = unranked
	}
	codec := newCodec() // a local one, because a codec keeps its decoding tables in memory
	var long []byte
	for rank := uint(0); ; rank++ {
		token, err := codec.Decode([]uint{rank})
		if err != nil {
			break // after the last token
		}
		if len(token) == 2 {
			v.pairs[pairAt(token, 0)] = uint32(rank)
		}
		key := v.key(token, 0, len(token))
		h := mixHash(key)
		v.filter[h>>(64-filterBits+6)] |= 1 << (h >> (64 - filterBits) % 64)
		i := h >> (64 - slotBits)
		for v.slots[i].key != 0 {
			i = (i + 1) % (1 << slotBits)
		}
		v.slots[i] = slot{key, uint32(rank), uint32(len(long))}
		if len(token) > shortToken {
			long = append(long, token...)
		}
	}
	v.longTokens = string(long)
	return v
}

// pairAt returns the two bytes of s at index i as a number.
func pairAt(s string, i int) uint16 { return uint16(s[i]) | uint16(s[i+1])<<8 }

// key returns the key of s[i:j]. s[i:j] has at most 255 bytes; no token is longer.
func (v *vocabulary) key(s string, i, j int) uint64 {
	n := j - i
	length := uint64(n) << 56
	switch {
	case n > shortToken:
		return length | maphash.String(v.seed, s[i:j])>>8
	case len(s)-i >= 8:
		s = s[i : i+8]
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		return length | word&(1<<(8*n)-1)
	default:
		var word uint64
		for k := range n {
			word |= uint64(s[i+k]) << (8 * k)
		}
		return length | word
	}
}

// mixHash returns a hash of the key. Its highest bits are used as indexes.
func mixHash(key uint64) uint64 {
	key *= 0x9e3779b97f4a7c15
	return (key ^ key>>32) * 0xd6e8feb86659fd93
}

// rank returns the rank of the token s[i:j], or unranked.
func (v *vocabulary) rank(s string, i, j int) uint32 {
	key := v.key(s, i, j)
	h := mixHash(key)
	if v.filter[h>>(64-filterBits+6)]&(1<<(h>>(64-filterBits)%64)) == 0 {
		return unranked
	}
	for at := h >> (64 - slotBits); ; at = (at + 1) % (1 << slotBits) {
		slot := &v.slots[at]
		if slot.key == key && (j-i <= shortToken || v.longTokens[slot.offset:int(slot.offset)+j-i] == s[i:j]) {
			return slot.rank
		}
		if slot.key == 0 {
			return unranked
		}
	}
}

// maxMergedBytes is the maximum length of a pretoken that countMerged merges, because its cost
// grows with the square of the length. Few pretokens are longer.
const maxMergedBytes = 255

// count returns the number of tokens of a pretoken.
func (v *vocabulary) count(pretoken string) int {
	switch {
	case pretoken == "\u007f": // not matched by the pattern
		return 0
	case len(pretoken) == 1:
		return 1
	case len(pretoken) > maxMergedBytes:
		return tokenizerCount(pretoken)
	case v.rank(pretoken, 0, len(pretoken)) != unranked:
		return 1
	default:
		return v.countMerged(pretoken)
	}
}

// countMerged splits a pretoken into bytes and merges the leftmost pair with the lowest rank, as
// long as there is one. It returns the number of parts that are left.
func (v *vocabulary) countMerged(pretoken string) int {
	var (
		starts [maxMergedBytes + 1]uint8  // start of each part, and the end of the last one
		ranks  [maxMergedBytes + 1]uint32 // rank of each part merged with the next one
	)
	n := len(pretoken)
	for i := range n {
		starts[i] = uint8(i)
		ranks[i] = unranked
		if i+1 < n {
			ranks[i] = v.pairs[pairAt(pretoken, i)]
		}
	}
	starts[n] = uint8(n)
	for {
		at, lowest := 0, uint32(unranked)
		for i, rank := range ranks[:n] {
			if rank < lowest {
				at, lowest = i, rank
			}
		}
		if lowest == unranked {
			return n
		}
		copy(starts[at+1:n], starts[at+2:n+1])
		copy(ranks[at+1:n-1], ranks[at+2:n])
		n--
		ranks[at] = unranked
		if at+1 < n {
			ranks[at] = v.rank(pretoken, int(starts[at]), int(starts[at+2]))
		}
		if at > 0 {
			ranks[at-1] = v.rank(pretoken, int(starts[at-1]), int(starts[at+1]))
		}
	}
}
