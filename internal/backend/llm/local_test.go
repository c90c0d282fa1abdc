package llm_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func local(t testing.TB, dimensions int, texts ...string) [][]float32 {
	t.Helper()
	got, err := llm.LocalEmbedder{}.Embed(t.Context(), document.Model{Name: llm.LocalModel, Dimensions: dimensions}, texts)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func cosine(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestLocalVectors(t *testing.T) {
	t.Parallel()
	texts := []string{
		"a", "word", "The quick brown fox.", "불변 참조자", "所有权", "ไก่จิกเด็ก", "データ処理",
		"!?", "🙂", "---", "\u200b", "<", "a-a", "\xff\xfe broken", strings.Repeat("long ", 10_000),
	}
	for _, dimensions := range []int{0, 1, 2, 64, 512, 1536} {
		for i, v := range local(t, dimensions, texts...) {
			want := dimensions
			if want == 0 {
				want = llm.LocalDimensions
			}
			if len(v) != want {
				t.Fatalf("%d dimensions, want %d", len(v), want)
			}
			if length := math.Sqrt(cosine(v, v)); math.Abs(length-1) > 1e-5 {
				t.Errorf("%.20q in %d dimensions: length %v, want 1", texts[i], dimensions, length)
			}
		}
	}
}

func TestLocalVectorsAreUnitVectors(t *testing.T) {
	t.Parallel()
	property := func(text string, dimensions uint8) bool {
		v := local(t, int(dimensions%8)+1, text)[0]
		return math.Abs(cosine(v, v)-1) < 1e-5
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

// TestLocalIsPinned compares with the vectors of a release: if they change, stored vectors no
// longer fit, and the model needs another name.
func TestLocalIsPinned(t *testing.T) {
	t.Parallel()
	got := local(t, 8, "Ownership rules in Rust", "소유권 규칙", "所有权规则")
	want := [][]float32{
		{0.31150448, 0.05191741, 0, -0.62300897, 0.4153393, 0.31150448, -0.46725672, -0.15575224},
		{0, -0.41602516, 0, 0.41602516, -0.5547002, 0.41602516, 0, 0.41602516},
		{0.16783628, 0.41959068, 0.83918136, 0, 0, -0.16783628, -0.2517544, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the vectors have changed: %s", diff)
	}
}

func TestLocalNormalises(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"Straße CAFÉ", "straße cafe\u0301"},
		{"ＦＵＬＬ width", "full WIDTH"},
		{"각", "\u1100\u1161\u11a8"},
		{"one, two!", "One   two"},
	} {
		got := local(t, 256, pair[0], pair[1])
		if !cmp.Equal(got[0], got[1]) {
			t.Errorf("%q and %q have different vectors", pair[0], pair[1])
		}
	}
}

// TestLocalFinds: the text that shares words, or parts of words, with the question is nearer than
// the other.
func TestLocalFinds(t *testing.T) {
	t.Parallel()
	tests := []struct{ question, near, far string }{
		{"What is ownership?", "Ownership is a set of rules that govern how a program manages memory.", "A vector stores values of one type side by side."},
		{"memory management", "The heap: how programs manage their memory.", "Closures can capture what is around them."},
		{"embedding", "Embeddings are vectors of numbers.", "A queue holds what is yet to be done."},
		{"소유권이란 무엇인가", "소유권은 프로그램이 메모리를 관리하는 규칙이다.", "벡터는 같은 타입의 값을 나란히 저장한다."},
		{"컴포넌트를 만드는 방법", "컴포넌트는 함수로 만듭니다.", "이벤트 핸들러를 추가할 수 있습니다."},
		{"什么是响应式", "响应式系统会自动跟踪依赖。", "模板语法基于标准的网页标记。"},
		{"データの処理", "大量のデータを処理する方法。", "画面の色を変える設定。"},
		{"ไก่", "ไก่จิกเด็กตาย", "น้ำขึ้นให้รีบตัก"},
	}
	for _, tt := range tests {
		v := local(t, 0, tt.question, tt.near, tt.far)
		if near, far := cosine(v[0], v[1]), cosine(v[0], v[2]); near <= far+0.05 {
			t.Errorf("%q: %.3f for %q, %.3f for %q", tt.question, near, tt.near, far, tt.far)
		}
	}
}

func TestLocalConcurrently(t *testing.T) {
	t.Parallel()
	texts := numberedTexts(50)
	want := local(t, 64, texts...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := llm.LocalEmbedder{}.Embed(t.Context(), document.Model{Dimensions: 64}, texts)
			if err != nil || !cmp.Equal(want, got) {
				t.Errorf("different vectors, %v", err)
			}
		})
	}
	wg.Wait()
}

func TestLocalStopsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (llm.LocalEmbedder{}).Embed(ctx, document.Model{}, numberedTexts(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// manual returns about 1 MB of text, in texts of the size of a passage.
func manual() (texts []string, size int) {
	sentences := []string{
		"Ownership rule %d: each value has an owner, and *no more than one* at a time. ",
		"The method `read_%d` returns a [slice](https://example.org/%[1]d) of the bytes that it has read.\n",
		"컴포넌트 %d은 화면의 한 부분을 그리는 함수입니다. ",
		"响应式系统会自动跟踪第 %d 个依赖。",
		"When the queue holds %d tasks, workers wait before they take another.\n\n",
	}
	var text strings.Builder
	for i := 0; size < 1<<20; i++ {
		fmt.Fprintf(&text, sentences[i*7919%len(sentences)], i)
		if text.Len() > 1600 {
			texts = append(texts, text.String())
			size += text.Len()
			text.Reset()
		}
	}
	return texts, size
}

func BenchmarkLocal(b *testing.B) {
	texts, size := manual()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		local(b, 0, texts...)
	}
	b.ReportMetric(float64(b.N*len(texts))/b.Elapsed().Seconds(), "passages/s")
}

func BenchmarkExtractive(b *testing.B) {
	texts, size := manual()
	b.SetBytes(int64(size))
	for b.Loop() {
		if _, err := (llm.ExtractiveSummariser{}).Summarise(b.Context(), llm.ExtractiveModel, "http", texts); err != nil {
			b.Fatal(err)
		}
	}
}
