// Package client calls a Gristmill server over HTTP. Requests and answers are the types of package
// document.
//
// [New] returns a [Client]. Its methods are the operations of the HTTP contract, one request each,
// except for AllJobs and AllReindexes, which read a list page by page, and AwaitJob and
// AwaitReindex, which wait for an end. A request that the server refuses fails with a [*Problem].
//
// The package is part of the public API of this module, with packages document, chunk and markdown.
// Exported names are changed or removed only with a note to importers. Methods and fields may be
// added without one.
package client
