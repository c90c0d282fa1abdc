package document

// Model names an embedding model and the length of its vectors. Dimensions is 0
// while the length is not known: it is then whatever the model answers.
type Model struct {
	Name       string
	Dimensions int
}
