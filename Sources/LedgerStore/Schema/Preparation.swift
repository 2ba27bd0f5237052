internal import LedgerSchema
internal import PQ

/// The cluster-wide preconditions of a schema in one of the databases.
///
/// These are the service's role, and the right of the login to work as that role.
enum Preparation {
    /// The rights of the session's user to establish them.
    struct Rights {
        let login: String
        let database: String
        let roleExists: Bool
        let isSuperuser: Bool
        let mayCreateRoles: Bool
        let mayCreateSchemas: Bool
        let isMember: Bool
        /// Whether the user may make others, and itself, members of the role.
        let mayGrant: Bool

        init(_ lease: inout Lease) async throws(PQError) {
            let row = try await lease.query(Query(Self.sql, [.text(Guarantees.serviceRole)]))[0]
            login = try row.decode(0)
            database = try row.decode(1)
            roleExists = try row.decode(2)
            isSuperuser = try row.decode(3)
            mayCreateRoles = try row.decode(4)
            mayCreateSchemas = try row.decode(5)
            isMember = try row.decode(6)
            mayGrant = try row.decode(7)
        }

        // A user that may create roles may grant any of them, or only those for which it has the admin option:
        // see ``PostgresVersion/grantOptions``.
        private static var sql: String {
            """
            select
                session_user::text, current_database()::text, service.oid is not null, login.rolsuper,
                login.rolsuper or login.rolcreaterole,
                has_database_privilege(login.oid, current_database(), 'create'),
                coalesce(pg_has_role(login.oid, service.oid, \(Preparation.setRole)), false),
                login.rolsuper
                    or (login.rolcreaterole and current_setting('server_version_num')::integer
                        < \(PostgresVersion.grantOptions))
                    or coalesce(pg_has_role(login.oid, service.oid, 'MEMBER WITH ADMIN OPTION'), false)
            from pg_roles as login
            left join pg_roles as service on service.rolname = $1
            where login.rolname = session_user
            """
        }
    }

    /// The SQL expression of the privilege to take a role by `set role`.
    ///
    /// A member may have only the right to grant the role: see ``PostgresVersion/grantOptions``.
    static let setRole = """
        case when current_setting('server_version_num')::integer < \(PostgresVersion.grantOptions) then 'MEMBER'
            else 'SET' end
        """

    /// Checks that the first migration can be applied.
    ///
    /// It creates the schema and the role.
    ///
    /// - Throws: ``MigrationError`` with the SQL that an administrator must run first.
    static func checkFirst(_ lease: inout Lease) async throws {
        let rights = try await Rights(&lease)
        var statements: [String] = []
        let user = PreparationSQL.quoted(rights.login)
        if !rights.mayCreateSchemas {
            statements.append("grant create on database \(PreparationSQL.quoted(rights.database)) to \(user);")
        }
        if !rights.roleExists, !rights.mayCreateRoles {
            statements.append("create role \(Guarantees.serviceRole) nologin;")
        }
        if rights.roleExists ? !rights.mayGrant : !rights.mayCreateRoles {
            statements.append("grant \(Guarantees.serviceRole) to \(user) with admin option;")
        }
        guard statements.isEmpty else { throw missingRights(of: rights.login, statements) }
    }

    /// Ensures that the role exists and that this user may work as it.
    ///
    /// Neither is part of a dump.
    ///
    /// - Throws: ``MigrationError`` with the SQL that an administrator must run.
    static func ensureRole(_ lease: inout Lease) async throws {
        var rights = try await Rights(&lease)
        if rights.roleExists, rights.isMember { return }
        let grant = "grant \(Guarantees.serviceRole) to \(PreparationSQL.quoted(rights.login))"
        // The login role is needed here: the owner of the schema may be another role, with fewer rights.
        let role = try await lease.query(Query("select current_setting('role')"))[0].decode(0, as: String.self)
        _ = try await lease.query(Query("select set_config('role', 'none', false)"))
        if !rights.roleExists {
            guard rights.mayCreateRoles else {
                throw missingRights(
                    of: rights.login, ["create role \(Guarantees.serviceRole) nologin;", "\(grant);"])
            }
            _ = try await lease.query(Query("create role \(Guarantees.serviceRole) nologin", prepare: false))
            rights = try await Rights(&lease)
        }
        if !rights.isSuperuser {
            guard rights.mayGrant else { throw missingRights(of: rights.login, ["\(grant);"]) }
            _ = try await lease.query(Query(grant, prepare: false))
        }
        _ = try await lease.query(Query("select set_config('role', $1, false)", [.text(role)]))
    }

    static func missingRights(of user: String, _ statements: [String]) -> MigrationError {
        MigrationError(
            description: "user \(user) lacks rights that the migration needs. Ask an administrator to run this in the "
                + "database, then migrate again:\n  \(statements.joined(separator: "\n  "))\n", cause: nil)
    }
}

/// SQL that is printed for an administrator.
enum PreparationSQL {
    /// An identifier in quotation marks.
    static func quoted(_ identifier: String) -> String {
        var text = "\""
        for scalar in identifier.unicodeScalars {
            if scalar == "\"" { text += "\"" }
            text.unicodeScalars.append(scalar)
        }
        return text + "\""
    }
}
