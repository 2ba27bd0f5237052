/// The check that each connection has a server session of its own.
///
/// A pooler may give every transaction another session, or reset the session after each. Then the settings, the role,
/// the prepared statements and the locks of a session get lost, or reach another client. Poolers are detected by these
/// effects and not by their names.
///
/// The check stores a value in the session of one connection, and then reads it through this connection and through a
/// second one, twice in turn. A pooler that gives out its last session first gives the same one to both connections.
/// One that gives them out by turns gives two of them to one connection.
struct PoolerCheck {
    /// The number of times that each connection executes two transactions.
    ///
    /// A pooler without other clients shows its mode in the first ones. If it has other clients, it may give a
    /// connection the same session several times by chance.
    static let rounds = 8

    /// The session that a transaction was executed in.
    struct Observation: Equatable {
        /// The server process and the start of its server.
        var process: String
        /// The value stored in the session; empty if there is none.
        var token: String
    }

    /// A way in which sessions are mixed up.
    enum Fault: Equatable {
        /// Two transactions of one connection were executed in different sessions.
        case changesSessions
        /// Two connections used the same session.
        case sharesSessions
        /// A setting of the session was lost.
        case dropsSettings
    }

    /// The value that was stored through the first connection.
    let token: String

    /// Returns the fault that the observations prove; nil if there is none.
    ///
    /// - Parameters:
    ///   - first: The observations through the connection that has stored the value.
    ///   - other: The observations through the second connection.
    func fault(first: [Observation], other: [Observation]) -> Fault? {
        let (ours, theirs) = (Set(first.map(\.process)), Set(other.map(\.process)))
        if !ours.isDisjoint(with: theirs) || other.contains(where: { $0.token == token }) { return .sharesSessions }
        if ours.count > 1 || theirs.count > 1 { return .changesSessions }
        return first.allSatisfy { $0.token == token } ? nil : .dropsSettings
    }

    /// Checks two open connections.
    ///
    /// - Throws: ``PQError/Code/sessionRefused`` with the remedy.
    static func run(on connection: Connection, _ other: Connection, deadline: Duration) async throws(PQError) {
        let check = PoolerCheck(token: String(UInt64.random(in: 0 ... .max), radix: 36))
        let store = Query(
            "select set_config('progress_ledger.session', $1, false)", [.text(check.token)], prepare: false)
        _ = try await connection.run([store], by: .now + deadline, commits: .cancellable)
        var (ours, theirs): ([Observation], [Observation]) = ([], [])
        for _ in 1...rounds {
            for _ in 1...2 { theirs.append(try await observe(other, deadline)) }
            for _ in 1...2 { ours.append(try await observe(connection, deadline)) }
            if let fault = check.fault(first: ours, other: theirs) { throw fault.error }
        }
    }

    private static func observe(_ connection: Connection, _ deadline: Duration) async throws(PQError) -> Observation {
        let rows = try await connection.run([observation], by: .now + deadline, commits: .cancellable)
        guard let row = rows.first?.first else { throw PQError(.decoding, "the statement gave no result") }
        return Observation(process: try row.decode(0), token: try row.decode(1))
    }

    // The start of the server is part of it, because a connection string may name several servers.
    private static let observation = Query(
        """
        select pg_backend_pid() || ' ' || extract(epoch from pg_postmaster_start_time()),
            coalesce(current_setting('progress_ledger.session', true), '')
        """, prepare: false)
}

extension PoolerCheck.Fault {
    /// The refusal with its remedy.
    var error: PQError {
        let effect =
            switch self {
            case .changesSessions: "gives every transaction another session"
            case .sharesSessions: "gives several connections the same session"
            case .dropsSettings: "resets the session after every transaction"
            }
        return PQError(
            .sessionRefused,
            """
            a pooler in front of PostgreSQL \(effect), so settings, roles and prepared statements get lost. Use its \
            session mode (PgBouncer: pool_mode = session), or connect to PostgreSQL directly
            """)
    }
}
