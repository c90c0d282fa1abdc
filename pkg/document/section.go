package document

// Section is a part of a document that is to be summarised, together with
// others of the same document.
type Section struct {
	Heading string // titles that it stands under, outermost first
	Parts   []SectionPart
}

// SectionPart is a part of a section: a text or, where that is empty, the whole
// of an earlier section of the same list, named by its index.
type SectionPart struct {
	Text  string
	Whole int
}
