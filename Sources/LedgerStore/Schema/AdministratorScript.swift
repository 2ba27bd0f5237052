internal import LedgerSchema
internal import PQ

/// The SQL that prepares and migrates a database, for an administrator with psql.
///
/// The first part is about roles and needs the rights of an administrator. The second part is about the schema and runs
/// as the schema's owner. The script contains only what the database lacks.
struct AdministratorScript {
    private let migrations: [Migration]
    private let login: ServiceLogin
    /// The owner of the schema, existing or future.
    private let owner: String
    private let ownerMayCreateSchemas: Bool
    private let ownerMayGrant: Bool
    private let roleExists: Bool

    /// Reads the state of the roles from the catalogs.
    ///
    /// - Parameters:
    ///   - migrations: The missing migrations.
    ///   - login: The user with which the services log in; nil for that of the session.
    init(migrations: [Migration], login: String?, _ lease: inout Lease) async throws(PQError) {
        self.migrations = migrations
        self.login = try await ServiceLogin(login, &lease)
        let row = try await lease.query(Query(Self.sql, [.text(Guarantees.serviceRole)]))[0]
        owner = try row.decode(0)
        ownerMayCreateSchemas = try row.decode(1)
        ownerMayGrant = try row.decode(2)
        roleExists = try row.decode(3)
    }

    /// The script.
    var text: String {
        let schema = migrations.map(Self.statements) + ["begin;"] + GuaranteeRepair.statements.map { "\($0.sql);" }
        return
            ([
                """
                -- Prepares the database \(Self.comment(login.database)) for the progress ledger. Run it with psql in this database.
                \\set ON_ERROR_STOP on

                -- Part 1: roles. For an administrator, who may create roles and grant them.
                """
            ] + roles + [
                """

                -- Part 2: the schema. For its owner, \(Self.comment(owner)), and for members of this role.
                set role \(PreparationSQL.quoted(owner));
                set search_path = pg_catalog, pg_temp;
                """
            ] + schema + ["commit;", "reset search_path;", "reset role;"]).joined(separator: "\n")
    }

    private var roles: [String] {
        var statements: [String] = []
        let owner = PreparationSQL.quoted(self.owner)
        if !roleExists { statements.append("create role \(Guarantees.serviceRole) nologin") }
        if !login.exists {
            statements.append("create role \(PreparationSQL.quoted(login.name)) login")
        }
        if !ownerMayCreateSchemas {
            statements.append("grant create on database \(PreparationSQL.quoted(login.database)) to \(owner)")
        }
        if !ownerMayGrant { statements.append("grant \(Guarantees.serviceRole) to \(owner) with admin option") }
        if !login.isMember, login.name != self.owner || ownerMayGrant { statements.append(login.grant) }
        statements += login.settingStatements
        return statements.map { "\($0);" }
    }

    private static func statements(of migration: Migration) -> String {
        """
        begin;
        \(migration.sql)
        insert into ledger.schema_migration (version, file, sha256, duration_microseconds)
        values (\(migration.version), '\(migration.file)', '\(migration.sha256)', 0);
        commit;
        """
    }

    /// A name without line breaks, which would end a comment.
    private static func comment(_ name: String) -> String {
        String(String.UnicodeScalarView(name.unicodeScalars.filter { $0.value >= 0x20 }))
    }

    private static let sql = """
        select
            owner.rolname::text,
            schema.oid is not null or has_database_privilege(owner.oid, current_database(), 'create'),
            owner.rolsuper or coalesce(pg_has_role(owner.oid, service.oid, 'MEMBER WITH ADMIN OPTION'), false),
            service.oid is not null
        from pg_roles as owner
        left join pg_namespace as schema on schema.nspname = 'ledger'
        left join pg_roles as service on service.rolname = $1
        where case when schema.oid is null then owner.rolname = session_user else owner.oid = schema.nspowner end
        """
}
