internal import PQ

/// The user with which the services log in, and its settings in the database.
///
/// The user of a migration is often the owner of the schema, and the services then log in as another user with fewer
/// rights.
struct ServiceLogin: Sendable {
    let name: String
    /// Whether the user exists.
    let exists: Bool
    /// Whether it may work as the service's role.
    let isMember: Bool
    /// The database.
    let database: String
    /// The settings that the user lacks in this database, with their values.
    let missingSettings: [(name: String, value: String)]

    /// Reads the state of a user from the catalogs.
    ///
    /// - Parameter name: The user; nil for that of the session.
    init(_ name: String?, _ lease: inout Lease) async throws(PQError) {
        let row = try await lease.query(
            Query(Self.state, [.text(name), .text(Guarantees.serviceRole)]))[0]
        self.name = try row.decode(0)
        exists = try row.decode(1)
        isMember = try row.decode(2)
        database = try row.decode(3)
        let isSeparate = try row.decode(4, as: Bool.self)
        var settings: [(name: String, value: String)] = []
        for row in try await lease.query(
            Query(
                Self.settings,
                [.text(self.name), .texts(Self.wanted.map(\.name)), .texts(Self.wanted.map(\.value))]))
        {
            settings.append((try row.decode(0), try row.decode(1)))
        }
        let (role, value) = ("role", Guarantees.serviceRole)
        if isSeparate, try row.decodeIfPresent(5, as: String.self) != value { settings.append((role, value)) }
        missingSettings = settings
    }

    /// The statements that give the user its settings.
    ///
    /// Every session sets them too (``LedgerSession``). Here they also hold if something between the service and
    /// PostgreSQL loses the settings of a session.
    var settingStatements: [String] {
        let subject = "alter role \(PreparationSQL.quoted(name)) in database \(PreparationSQL.quoted(database))"
        return missingSettings.map { "\(subject) set \($0.name) = '\($0.value)'" }
    }

    /// The statement that lets the user work as the service's role.
    var grant: String { "grant \(Guarantees.serviceRole) to \(PreparationSQL.quoted(name))" }

    /// Checks that the user exists.
    ///
    /// - Throws: ``MigrationError`` with the statement that creates it.
    func check() throws(MigrationError) {
        guard !exists else { return }
        throw MigrationError(
            description: "user \(name) does not exist: create it with "
                + "`create role \(PreparationSQL.quoted(name)) login`", cause: nil)
    }

    /// Gives the user the service's role and the settings.
    ///
    /// - Returns: The statements that only an administrator may run. The ledger works without them.
    /// - Throws: ``MigrationError`` if this session may not grant the role.
    func prepare(_ lease: inout Lease) async throws -> [String] {
        // The owner of the schema may be a role with fewer rights than the user of this session.
        let role = try await lease.query(Query("select current_setting('role')"))[0].decode(0, as: String.self)
        _ = try await lease.query(Query("select set_config('role', 'none', false)"))
        if !isMember {
            let rights = try await Preparation.Rights(&lease)
            guard rights.mayGrant else { throw Preparation.missingRights(of: rights.login, ["\(grant);"]) }
            _ = try await lease.query(Query(grant, prepare: false))
        }
        var refused: [String] = []
        for statement in settingStatements {
            do throws(PQError) {
                _ = try await lease.query(Query(statement, prepare: false))
            } catch {
                guard error.sqlState == .insufficientPrivilege else { throw error }
                refused.append("\(statement);")
            }
        }
        _ = try await lease.query(Query("select set_config('role', $1, false)", [.text(role)]))
        return refused
    }

    /// The settings that keep commits durable, with their values.
    ///
    /// They are PostgreSQL's own defaults, so they change nothing for other programs with the same login.
    private static let wanted = [
        (name: "client_min_messages", value: "notice"), (name: "default_transaction_deferrable", value: "off"),
        (name: "default_transaction_isolation", value: "read committed"), (name: "synchronous_commit", value: "on"),
    ]

    // The owner of the schema must not get the service's role by default, because it could not migrate then. Without a
    // schema, the user of this session will own it.
    private static let state = """
        select
            given.name, login.oid is not null,
            coalesce(login.rolsuper or pg_has_role(login.oid, service.oid, \(Preparation.setRole)), false),
            current_database()::text,
            login.oid is null or not (login.rolsuper or pg_has_role(login.oid, owner.oid, 'MEMBER')),
            (
                select substr(entry, 6)
                from pg_db_role_setting as setting
                cross join lateral unnest(setting.setconfig) as stored (entry)
                where setting.setrole = login.oid and entry like 'role=%'
                    and setting.setdatabase = (select oid from pg_database where datname = current_database())
            )
        from (select coalesce($1, session_user::text) as name) as given
        left join pg_roles as login on login.rolname = given.name
        left join pg_roles as service on service.rolname = $2
        left join pg_namespace as schema on schema.nspname = 'ledger'
        join pg_roles as owner
            on case when schema.oid is null then owner.rolname = session_user else owner.oid = schema.nspowner end
        """

    // The value for a user in a database has precedence over that of the user, of the database, and of all.
    // A value of synchronous_commit that an administrator chose is kept, unless it is off.
    private static let settings = """
        with stored as (
            select
                setting.setrole, setting.setdatabase, split_part(entry, '=', 1) as name,
                substr(entry, strpos(entry, '=') + 1) as value
            from pg_db_role_setting as setting
            cross join lateral unnest(setting.setconfig) as stored (entry)
            where setting.setrole in (0, (select oid from pg_roles where rolname = $1))
                and setting.setdatabase in (0, (select oid from pg_database where datname = current_database()))
        )
        select wanted.name, wanted.value
        from unnest($2::text[], $3::text[]) as wanted (name, value)
        where case wanted.name
            when 'synchronous_commit' then coalesce(
                (
                    select stored.value from stored where stored.name = wanted.name
                    order by stored.setrole = 0, stored.setdatabase = 0
                    limit 1
                ),
                (select reset_val from pg_settings where name = wanted.name)
            ) in ('off', 'false', 'no', '0')
            else not exists (
                select from stored
                where stored.name = wanted.name and stored.setrole <> 0 and stored.setdatabase <> 0
                    and stored.value = wanted.value
            )
        end
        order by wanted.name
        """
}
