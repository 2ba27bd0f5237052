internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore

/// Appends events to one job and responds with their sequences.
struct AppendEndpoint: Sendable {
    /// The maximum length of a body on the fast path, in bytes.
    ///
    /// Parsing it takes about 0.1 ms of the event loop.
    static let fastBodyBytesMax = 16_384

    private let service: any LedgerService

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
    }

    /// The variant without a task, for small bodies.
    var fastPath: FastPath {
        FastPath(bodyBytesMax: Self.fastBodyBytesMax) { request, loop, whenDone in
            let drafts: [EventDraft]
            do throws(RequestError) {
                drafts = try EventRequest.drafts(request.body, request.format)
            } catch {
                return whenDone(.failure(error))
            }
            service.append(drafts.reported(by: request.access), to: request.job) { result in
                loop.execute {
                    switch result {
                    case .success(let range):
                        whenDone(.success(Self.response(range, service.knownState(of: request.job))))
                    case .failure(let error):
                        HTTPProblem.resolve(error, for: request.access, service, on: loop) { whenDone(.failure($0)) }
                    }
                }
            }
        }
    }

    /// The response that contains the sequences of the events.
    ///
    /// - Parameter state: The state of the job's newest snapshot that the server knows.
    static func response(
        _ range: ClosedRange<EventSequence>, _ state: JobState?, more: (inout JSONWriter) -> Void = { _ in }
    ) -> LedgerResponse {
        .json(.created) { writer in
            writer.object { writer in
                writer.field("first_sequence", range.lowerBound)
                writer.field("last_sequence", range.upperBound)
                writer.field("job_state", state?.rawValue)
                more(&writer)
            }
        }
    }
}

extension [EventDraft] {
    /// The drafts with the reporter of a caller.
    func reported(by access: Access) -> [EventDraft] {
        guard let reporter = access.reporter else { return self }
        var drafts = self
        for index in drafts.indices { drafts[index].reporter = reporter }
        return drafts
    }
}
