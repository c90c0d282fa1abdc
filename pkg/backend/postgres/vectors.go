package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// vectors are encoded as an array of halfvec. pgx encodes the arguments of a
// statement into a buffer that grows by a quarter at a time, and so copies
// vectors again and again: this makes room for all of them at once. It encodes
// three times as fast as pgvector-go.
type vectors [][]float32

// registerVectors has a connection encode vectors. The types of pgvector are
// registered.
func registerVectors(conn *pgx.Conn) error {
	element, known := conn.TypeMap().TypeForName("halfvec")
	array, arrayKnown := conn.TypeMap().TypeForName("_halfvec")
	if !known || !arrayKnown {
		return fmt.Errorf("type halfvec is not registered")
	}
	conn.TypeMap().RegisterType(&pgtype.Type{Name: array.Name, OID: array.OID, Codec: vectorsCodec{array.Codec, element}})
	return nil
}

type vectorsCodec struct {
	pgtype.Codec
	element *pgtype.Type
}

// PlanEncode implements pgtype.Codec.
func (c vectorsCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(vectors); ok && format == pgtype.BinaryFormatCode {
		return vectorsPlan{c.element.OID}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type vectorsPlan struct {
	oid uint32
}

// Encode implements pgtype.EncodePlan.
func (p vectorsPlan) Encode(value any, buf []byte) ([]byte, error) {
	all := value.(vectors)
	size := 20
	for _, v := range all {
		size += 8 + 2*len(v)
	}
	buf = slices.Grow(buf, size+size/2)         // and room for the text of as many passages
	buf = binary.BigEndian.AppendUint32(buf, 1) // dimension
	buf = binary.BigEndian.AppendUint32(buf, 0) // no nulls
	buf = binary.BigEndian.AppendUint32(buf, p.oid)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(all)))
	buf = binary.BigEndian.AppendUint32(buf, 1) // the index of the first
	for _, v := range all {
		buf = binary.BigEndian.AppendUint32(buf, uint32(4+2*len(v)))
		buf = binary.BigEndian.AppendUint16(buf, uint16(len(v)))
		buf = binary.BigEndian.AppendUint16(buf, 0) // unused
		halves := buf[len(buf) : len(buf)+2*len(v)]
		buf = buf[:len(buf)+len(halves)]
		for i, x := range v {
			bits := math.Float32bits(x)
			rest := bits &^ (1 << 31)
			h := uint16((rest - bias + one/2 - 1 + rest/one%2) / one)
			if rest-smallest >= overflow-smallest { // rare
				h = special(rest)
			}
			binary.BigEndian.PutUint16(halves[2*i:2*i+2], h|uint16(bits>>16)&0x8000)
		}
	}
	return buf, nil
}

// Numbers of 16 bits (IEEE 754 binary16) as those of 32 bits. A number becomes the
// nearest one, the even one of two.
const (
	one       = 1 << 13              // the last bit that is kept, of a normal number
	bias      = (127 - 15) << 23     // by how much exponents differ
	smallest  = (127 - 14) << 23     // normal number
	overflow  = (127+16)<<23 - one/2 // what is rounded to infinity
	subnormal = 1 << 24              // there are so many of these to the number 1

	infinity   = 0x7c00
	notANumber = 0x7e00
)

// special returns a number that is not normal without its sign, from its bits.
func special(bits uint32) uint16 {
	switch {
	case bits < smallest:
		return uint16(math.RoundToEven(float64(math.Float32frombits(bits)) * subnormal))
	case bits > 0xff<<23:
		return notANumber
	default:
		return infinity
	}
}
