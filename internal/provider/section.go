// Package provider holds what is sent to the providers of models, and how their
// answers can be wrong.
package provider

// ProbeText is a text that every model takes. It is sent to see whether a model
// answers, and how long its vectors are.
const ProbeText = "Grain is ground in a mill."

// Section is a part of a document that is to be summarised, together with
// others of the same document.
type Section struct {
	Heading string // titles that it stands under, outermost first
	Parts   []SectionPart
}

// SectionPart is a part of a section: a text or, where that is empty, the whole
// of an earlier section of the same list, named by its index.
type SectionPart struct {
	Text         string
	SectionIndex int
}
