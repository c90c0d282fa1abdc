package postgres

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/pgvector/pgvector-go"
)

// vectors are encoded as an array of halfvec. pgx encodes the arguments of a
// statement into a buffer that grows by a quarter at a time, and so copies
// vectors again and again: this makes room for all of them at once.
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
		return vectorsEncodePlan{c.element.OID, c.element.Codec.PlanEncode(m, c.element.OID, format, pgvector.HalfVector{})}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type vectorsEncodePlan struct {
	oid     uint32
	element pgtype.EncodePlan
}

// Encode implements pgtype.EncodePlan.
func (p vectorsEncodePlan) Encode(value any, buf []byte) (_ []byte, err error) {
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
		if buf, err = p.element.Encode(pgvector.NewHalfVector(v), buf); err != nil {
			return nil, err
		}
	}
	return buf, nil
}
