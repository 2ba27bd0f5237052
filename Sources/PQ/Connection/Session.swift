internal import CLibPQ
internal import Logging

/// A libpq connection and all calls that use it once it is established.
///
/// All unsafe code that uses an established connection is therefore in this class.
///
/// `@unchecked Sendable`: libpq allows one thread at a time. The thread that connects passes the session on and drops
/// its reference. From then on the session belongs to one ``Connection``, which stays on the reactor's thread.
@safe final class Session: @unchecked Sendable {
    private let handle: OpaquePointer
    private var notices: NoticeReceiver?

    /// Takes ownership of an established connection.
    init(_ handle: OpaquePointer) {
        unsafe self.handle = handle
        // Otherwise libpq prints the server's notices to standard error.
        unsafe PQsetNoticeReceiver(handle, ignoreNotice, nil)
    }

    deinit {
        unsafe PQfinish(handle)
    }

    /// Writes the server's notices to a log.
    func logNotices(to logger: Logger) {
        let receiver = NoticeReceiver(logger)
        notices = receiver
        unsafe PQsetNoticeReceiver(handle, receiveNotice, Unmanaged.passUnretained(receiver).toOpaque())
    }

    /// Returns and clears the warning that the last commit was not replicated.
    func takeReplicationWarning() -> String? { notices?.replicationWarning.take() }

    /// The address of the connected server.
    var serverAddress: ServerAddress {
        func text(_ value: UnsafeMutablePointer<CChar>?) -> String {
            unsafe value.map { unsafe String(cString: $0) } ?? ""
        }
        return unsafe ServerAddress(
            host: text(PQhost(handle)), port: text(PQport(handle)), networkAddress: text(PQhostaddr(handle)))
    }

    var descriptor: Int32 { unsafe PQsocket(handle) }
    var isBroken: Bool { unsafe PQstatus(handle) == CONNECTION_BAD }
    var isBusy: Bool { unsafe PQisBusy(handle) != 0 }
    var usesTLS: Bool { unsafe PQsslInUse(handle) != 0 }
    var serverVersion: Int { unsafe Int(PQserverVersion(handle)) }
    var backendProcess: Int32 { unsafe PQbackendPID(handle) }
    var isInFailedTransaction: Bool { unsafe PQtransactionStatus(handle) == PQTRANS_INERROR }
    var isIdle: Bool { unsafe PQtransactionStatus(handle) == PQTRANS_IDLE }

    /// The text of the latest error in one line.
    var errorText: String {
        unsafe String(cString: PQerrorMessage(handle)).split(separator: "\n").joined(separator: "; ")
    }

    func setNonblocking() -> Bool { unsafe PQsetnonblocking(handle, 1) == 0 }
    func enterPipeline() -> Bool { unsafe PQenterPipelineMode(handle) == 1 }
    func exitPipeline() -> Bool { unsafe PQexitPipelineMode(handle) == 1 }
    func sync() -> Bool { unsafe PQpipelineSync(handle) == 1 }
    func consumeInput() -> Bool { unsafe PQconsumeInput(handle) == 1 }

    /// Sends the buffered bytes.
    ///
    /// - Returns: True if all bytes are sent, false if the socket takes no more now, nil on failure.
    func flush() -> Bool? {
        switch unsafe PQflush(handle) {
        case 0: true
        case 1: false
        default: nil
        }
    }

    func makeCancelToken() -> CancelToken? {
        unsafe PQgetCancel(handle).map { unsafe CancelToken($0) }
    }

    /// Returns the next notification that has arrived.
    func nextNotification() -> Notification? {
        guard let notify = unsafe PQnotifies(handle) else { return nil }
        defer { unsafe PQfreemem(notify) }
        return unsafe Notification(
            channel: String(cString: notify.pointee.relname), payload: String(cString: notify.pointee.extra))
    }

    // MARK: Sending

    func sendPrepare(_ name: String, _ query: Query) -> Bool {
        let types = query.parameters.map(\.type.rawValue)
        return unsafe PQsendPrepare(handle, name, query.sql, Int32(types.count), types) == 1
    }

    /// Sends a statement with its parameters, or executes a prepared one.
    ///
    /// - Parameter prepared: The name of the prepared statement; nil to send the text.
    func send(_ query: Query, prepared: String?) -> Bool {
        // All values are stored in one arena, so that every pointer is formed, used and dropped within one scope.
        var arena: [UInt8] = []
        var offsets: [Int] = []
        arena.reserveCapacity(query.parameters.reduce(0) { $0 + ($1.bytes?.count ?? 0) })
        for parameter in query.parameters {
            offsets.append(arena.count)
            if let bytes = parameter.bytes { arena += bytes }
        }
        let count = Int32(query.parameters.count)
        let lengths = query.parameters.map { Int32($0.bytes?.count ?? 0) }
        let formats = [Int32](repeating: 1, count: query.parameters.count)
        // One extra byte, so that an empty value has an address too: a null pointer means NULL.
        arena.append(0)
        return unsafe arena.withUnsafeBytes { buffer in
            let base = unsafe buffer.bindMemory(to: CChar.self).baseAddress
            let values = unsafe zip(query.parameters, offsets).map { parameter, offset in
                parameter.bytes == nil ? nil : unsafe base.map { unsafe $0 + offset }
            }
            if let prepared {
                return unsafe PQsendQueryPrepared(handle, prepared, count, values, lengths, formats, 1) == 1
            }
            let types = query.parameters.map(\.type.rawValue)
            return unsafe PQsendQueryParams(handle, query.sql, count, types, values, lengths, formats, 1) == 1
        }
    }

    /// Sends a statement without parameters outside of a pipeline, as COPY requires.
    func sendSimple(_ sql: String) -> Bool { unsafe PQsendQuery(handle, sql) == 1 }

    // MARK: Results

    /// The next message from the server.
    ///
    /// It must be read only while the session is not busy.
    enum Incoming {
        /// The statement has no more results.
        case end
        case rows(Rows)
        case failure(PQError)
        /// A statement was skipped because an earlier one in its group failed.
        case skipped
        /// The end of a group.
        case synced
        case copyIn
        case copyOut
    }

    func nextResult() -> Incoming {
        guard let result = unsafe PQgetResult(handle) else { return .end }
        switch unsafe PQresultStatus(result) {
        case PGRES_PIPELINE_SYNC:
            unsafe PQclear(result)
            return .synced
        case PGRES_PIPELINE_ABORTED:
            unsafe PQclear(result)
            return .skipped
        case PGRES_COPY_IN:
            unsafe PQclear(result)
            return .copyIn
        case PGRES_COPY_OUT:
            unsafe PQclear(result)
            return .copyOut
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY, PGRES_SINGLE_TUPLE:
            return unsafe .rows(Rows(storage: ResultStorage(result)))
        default:
            defer { unsafe PQclear(result) }
            return unsafe .failure(Self.error(of: result))
        }
    }

    private static func error(of result: OpaquePointer) -> PQError {
        func field(_ code: Character) -> String? {
            guard let ascii = code.asciiValue, let text = unsafe PQresultErrorField(result, Int32(ascii)) else {
                return nil
            }
            return unsafe String(cString: text)
        }
        // The codes are those of PG_DIAG_… in postgres_ext.h.
        guard let state = field("C") else {
            let text = unsafe String(cString: PQresultErrorMessage(result)).split(separator: "\n").joined(
                separator: "; ")
            return PQError(.connectionLost, "the connection to PostgreSQL was lost: \(text)")
        }
        let report = PQError.ServerReport(
            message: field("M") ?? "", severity: field("V"), detail: field("D"), hint: field("H"), context: field("W"),
            schema: field("s"), table: field("t"), column: field("c"), constraint: field("n"), routine: field("R"))
        let sqlState = SQLState(rawValue: state)
        return PQError(.server, "PostgreSQL refused: \(report.message)", sqlState: sqlState, server: report)
    }

    // MARK: COPY

    /// Passes bytes of COPY IN to libpq.
    ///
    /// - Returns: True if the bytes are taken, false if the socket takes no more now, nil on failure.
    func putCopy(_ bytes: UnsafeRawBufferPointer) -> Bool? {
        let chars = unsafe bytes.bindMemory(to: CChar.self)
        switch unsafe PQputCopyData(handle, chars.baseAddress, Int32(chars.count)) {
        case 1: return true
        case 0: return false
        default: return nil
        }
    }

    /// Ends COPY IN. After a failure, the server discards its rows.
    ///
    /// - Returns: As for ``putCopy(_:)``.
    func endCopy(failure: String?) -> Bool? {
        let status =
            if let failure { unsafe PQputCopyEnd(handle, failure) } else { unsafe PQputCopyEnd(handle, nil) }
        switch status {
        case 1: return true
        case 0: return false
        default: return nil
        }
    }

    enum CopyMessage {
        case taken
        case wait
        case end
        case failure
    }

    /// Appends the next message of COPY OUT to the chunk, if one has arrived.
    func takeCopyMessage(into chunk: inout [UInt8]) -> CopyMessage {
        var buffer: UnsafeMutablePointer<CChar>?
        let length = unsafe PQgetCopyData(handle, &buffer, 1)
        switch length {
        case 0: return .wait
        case -1: return .end
        case 1...:
            guard let start = unsafe buffer else { return .failure }
            defer { unsafe PQfreemem(start) }
            unsafe chunk.append(contentsOf: UnsafeRawBufferPointer(start: start, count: Int(length)))
            return .taken
        default: return .failure
        }
    }
}

/// Logs the server's notices and keeps the one that concerns a commit.
private final class NoticeReceiver {
    /// The PostgreSQL function that warns of a commit without a standby (`syncrep.c`).
    ///
    /// The warning has no specific SQLSTATE and its text is translated, but the name of the function is not.
    private static let replicationRoutine = "SyncRepWaitForLSN"

    private let logger: Logger
    var replicationWarning: String?

    init(_ logger: Logger) {
        self.logger = logger
    }

    func receive(text: String, severity: String?, routine: String?) {
        let line = text.split(separator: "\n").joined(separator: "; ")
        let isWarning = severity == "WARNING"
        logger.log(level: isWarning ? .warning : .debug, "PostgreSQL notice: \(line)")
        if isWarning, routine == Self.replicationRoutine { replicationWarning = line }
    }
}

private func receiveNotice(_ context: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {
    guard let context = unsafe context, let result = unsafe result else { return }
    // The codes are those of PG_DIAG_… in postgres_ext.h.
    func field(_ code: UInt8) -> String? {
        guard let text = unsafe PQresultErrorField(result, Int32(code)) else { return nil }
        return unsafe String(cString: text)
    }
    unsafe Unmanaged<NoticeReceiver>.fromOpaque(context).takeUnretainedValue().receive(
        text: field(UInt8(ascii: "M")) ?? String(cString: PQresultErrorMessage(result)),
        severity: field(UInt8(ascii: "V")), routine: field(UInt8(ascii: "R")))
}

private func ignoreNotice(_ context: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {}
