// Package document has the types of the HTTP contract: documents and their versions, jobs,
// searches, reindexes, webhooks and passages, and the rules of keys and metadata. JSON tags are
// those of the contract.
//
// The package is part of the public API of this module, with packages client, chunk and markdown.
// Exported names are changed or removed only with a note to importers. Fields and constants may be
// added without one: use keyed struct literals, and expect unknown values of enumerations.
//
// # Finding a type
//
// Each topic has a file of its own.
//
//   - documents: [Document], [DocumentState], [DocumentFilter], [Warning], [Warnings]
//   - uploads: [UploadRequest], [Condition], [Accepted]
//   - lists of any of these: [Page] selects a part, [List] is the answer
//   - jobs: [Job], [JobState], [JobFilter]; their tasks: [Tasks], [Task], [KnowledgeTask],
//     [KnowledgeProgress], [SummaryTask], [SummaryProgress]
//   - search: [SearchRequest], [DefaultHits], [MaxHits], [SearchResult], [Hit], [Scores], [Citation]
//   - summaries: [Summary], [SummaryMode], [SummaryEstimate]
//   - collections: [CollectionSettings], [Chunking], [MinChunkTokens], [MaxChunkTokens], [Model]
//   - reindexes: [ReindexRequest], [MaxReindexDocuments], [Reindex], [ReindexChange], [ReindexStage],
//     [ReindexProgress], [LeftOut], [ReindexEstimate], [ReindexFilter]
//   - webhooks: [Webhook], [WebhookRequest], [WebhookSecret]; what they receive: [Event],
//     [EndedJob], [EventType], [Delivery], [DeliveryState]
//   - passages: [Passage] as the API returns it; [PassageText], [Range] and [ContentHash] as
//     package chunk makes and names it; [SourceInfo], [OwnTitle] and [BaseName] for the title that
//     is embedded
//   - rules of names and texts: [DefaultCollection], [CheckCollectionName], [CollectionPattern],
//     [CheckLine], [MaxTitleBytes], [MaxModelBytes], [CheckText]
//   - rules of keys: [NormaliseKey], [CheckKey], [MaxKeyBytes], [PrefixUpperBound], [IsInvisible],
//     [IsBidiControl]
//   - rules of metadata: [CanonicalMetadata], [MetadataError]
//
// The constants of an enumeration share a prefix: [DocumentReady] is a [DocumentState], [JobFailed]
// a [JobState], [StageVerify] a [ReindexStage].
package document
