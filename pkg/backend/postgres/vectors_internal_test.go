package postgres

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/pgvector/pgvector-go"
	pgvectorpgx "github.com/pgvector/pgvector-go/pgx"
)

func TestVectorsAreEncodedAsPgvectorDoes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var v []float32
	for exponent := range uint32(256) {
		for _, sign := range []uint32{0, 1 << 31} {
			// What lies between two numbers of 16 bits, and beside that.
			for _, low := range []uint32{0, 1, 0xfff, 0x1000, 0x1001, 0x1fff} {
				for _, high := range []uint32{0, 1, 2, 0x3fe, 0x3ff} {
					v = append(v, math.Float32frombits(sign|exponent<<23|high<<13|low))
				}
			}
			for range 100 {
				v = append(v, math.Float32frombits(sign|exponent<<23|random.Uint32N(1<<23)))
			}
		}
	}
	for _, x := range v {
		want := encoded(t, pgvectorpgx.HalfVectorCodec{}.PlanEncode(nil, 0, pgtype.BinaryFormatCode, pgvector.HalfVector{}), pgvector.NewHalfVector([]float32{x}))
		got := encoded(t, vectorsPlan{7}, vectors{{x}})
		element := got[24:]
		if x != x { // any NaN is one
			want[5], element[5] = 0, 0
			want[4], element[4] = want[4]&0x7e, element[4]&0x7e
		}
		if !bytes.Equal(element, want) {
			t.Fatalf("%g is encoded as %x, want %x", x, element, want)
		}
		if size := binary.BigEndian.Uint32(got[20:]); int(size) != len(want) {
			t.Fatalf("an element is said to have %d bytes, and has %d", size, len(want))
		}
	}
}

func encoded(t *testing.T, plan pgtype.EncodePlan, value any) []byte {
	t.Helper()
	buf, err := plan.Encode(value, nil)
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

func BenchmarkVectors(b *testing.B) {
	all := make(vectors, 17)
	for i := range all {
		all[i] = make([]float32, 1536)
		for j := range all[i] {
			all[i][j] = float32(rand.NormFloat64() / 39)
		}
	}
	buf := make([]byte, 0, 1<<17)
	for b.Loop() {
		if _, err := (vectorsPlan{}).Encode(all, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVectorsOfPgvector(b *testing.B) {
	plan := pgvectorpgx.HalfVectorCodec{}.PlanEncode(nil, 0, pgtype.BinaryFormatCode, pgvector.HalfVector{})
	v := make([]float32, 1536)
	for j := range v {
		v[j] = float32(rand.NormFloat64() / 39)
	}
	buf := make([]byte, 0, 1<<17)
	for b.Loop() {
		for range 17 {
			if _, err := plan.Encode(pgvector.NewHalfVector(v), buf); err != nil {
				b.Fatal(err)
			}
		}
	}
}
