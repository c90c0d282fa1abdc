// Package provider holds the data that is sent to model providers, and the errors in their answers.
package provider

// ProbeText is a text that every model accepts. It is sent to test whether a model answers, and to
// learn the dimensions of its vectors.
const ProbeText = "Grain is ground in a mill."

// Section is a section of a document that is to be summarised together with other sections of the
// document.
type Section struct {
	Heading string // titles of the enclosing sections, outermost first
	Parts   []SectionPart
}

// SectionPart is a part of a section: a text or, if Text is empty, the complete earlier section
// with this index in the same list.
type SectionPart struct {
	Text         string
	SectionIndex int
}
