internal import PQ

/// Compares ``Guarantees`` with the database.
///
/// It reads catalogs only and takes a few milliseconds.
struct GuaranteeReader: Sendable {
    /// The maximum number of faults that are listed.
    static let faultsMax: Int64 = 20

    /// The statement that returns the faults, as sentences without a full stop.
    static var query: Query {
        var tables: [String] = []
        var columns: [String?] = []
        var privileges: [String] = []
        for grant in Guarantees.grants {
            for table in grant.tables {
                for column in grant.columns.isEmpty ? [nil] : grant.columns.map({ Optional($0) }) {
                    tables.append(table)
                    columns.append(column)
                    privileges.append(grant.privilege)
                }
            }
        }
        return Query(
            sql,
            [
                .text(Guarantees.serviceRole), .text(Guarantees.refusalBody), .texts(tables), .texts(columns),
                .texts(privileges), .texts(Guarantees.functions), .texts(Guarantees.refusedPrivileges),
                .int8(faultsMax),
            ])
    }

    static func faults(_ rows: Rows) throws(PQError) -> [String] {
        var faults: [String] = []
        for row in rows { faults.append(try row.decode(0)) }
        return faults
    }

    /// The required triggers, as rows of `(table, name, type)`.
    private static let requiredTriggers: String = {
        let ofEvents = Guarantees.eventRefusals.map { ("event", $0) }
        let others = [
            ("job", Guarantees.jobRefusal), ("job", Guarantees.jobDeletion), ("job_head", Guarantees.headRefusal),
            ("job_head", Guarantees.headDeletion),
            ("retirement", Guarantees.retirementRefusal),
        ]
        return (ofEvents + others).map { "('\($0.0)', '\($0.1.name)', \($0.1.type)::smallint)" }.joined(separator: ", ")
    }()

    private static let sql = """
        with schema as (
            select oid, nspowner as owner from pg_namespace where nspname = 'ledger'
        ),
        refusal as (
            select proc.* from pg_proc as proc join schema on proc.pronamespace = schema.oid
            where proc.proname = 'refuse_change'
        ),
        stored as (
            select class.* from pg_class as class join schema on class.relnamespace = schema.oid
            where class.relkind in ('r', 'p')
        ),
        event as (
            select class.*
            from stored as parent
            cross join lateral pg_partition_tree(parent.oid) as tree
            join pg_class as class on class.oid = tree.relid
            where parent.relname = 'event'
        ),
        kept as (
            select 'event' as part, event.* from event
            union all
            select stored.relname, stored.* from stored where stored.relname in ('job', 'job_head', 'retirement')
        ),
        refused as (
            select kept.relname, kept.relowner, privilege, kept.oid
            from kept
            cross join unnest($7::text[]) as privilege
            where not (kept.part = 'job_head' and privilege = 'update')
            union all
            select relname, relowner, 'insert', oid from kept where part = 'retirement'
        ),
        fault (place, sentence) as (
            select 1, 'the schema ledger lacks table ' || required
            from unnest($3::text[]) as required
            where not exists (select from stored where stored.relname = required)
            group by required
            union all
            select 2, format(
                'trigger %s of %s is missing, disabled, or enabled in another mode than "always"', required.name, kept.relname
            )
            from kept
            join (values \(requiredTriggers)) as required (part, name, type) on required.part = kept.part
            where not exists (
                select from pg_trigger as trigger join refusal on refusal.oid = trigger.tgfoid
                where trigger.tgrelid = kept.oid and trigger.tgtype = required.type and trigger.tgenabled = 'A'
                    and trigger.tgqual is null and trigger.tgattr::text = ''
            )
            union all
            select 3, 'function ledger.refuse_change() is missing or was changed'
            where not exists (select from refusal where prosrc = $2)
            union all
            select 4, format('%s may %s %s', coalesce(grantee.rolname, 'everybody'), lower(acl.privilege_type), kept.relname)
            from kept
            cross join lateral aclexplode(kept.relacl) as acl
            left join pg_roles as grantee on grantee.oid = acl.grantee
            where acl.grantee <> kept.relowner and grantee.rolname is distinct from $1
                and lower(acl.privilege_type) = any ($7)
            union all
            select 5, format('role %s may %s %s', $1, refused.privilege, refused.relname)
            from refused
            join pg_roles as service on service.rolname = $1
            where has_table_privilege(service.oid, refused.oid, refused.privilege)
                or (refused.privilege = 'update' and has_any_column_privilege(service.oid, refused.oid, 'update'))
            union all
            select 6, format('role %s may change %s of a head', $1, part)
            from stored
            join pg_roles as service on service.rolname = $1
            cross join (values ('job_id', 'the job'), ('retired_hash', 'the retirement')) as fixed ("column", part)
            where stored.relname = 'job_head'
                and has_column_privilege(service.oid, stored.oid, fixed."column", 'update')
            union all
            select 6, 'constraint \(Guarantees.retiredHead) of job_head is missing or was changed'
            from stored
            where stored.relname = 'job_head' and not exists (
                select from pg_constraint as rule
                where rule.conrelid = stored.oid and rule.conname = '\(Guarantees.retiredHead)' and rule.contype = 'c'
                    and rule.convalidated and pg_get_constraintdef(rule.oid) = 'CHECK ((retired_hash = hash))'
            )
            union all
            select 6, format('%s may call %s', case caller.oid when 0 then 'everybody' else 'role ' || $1 end, proc.proname)
            from pg_proc as proc
            join schema on proc.pronamespace = schema.oid
            cross join lateral (
                select 0::oid as oid
                where exists (
                    select from aclexplode(coalesce(proc.proacl, acldefault('f', proc.proowner))) as acl
                    where acl.grantee = 0
                )
                union all
                select oid from pg_roles
                where rolname = $1 and not rolsuper and has_function_privilege(oid, proc.oid, 'execute')
            ) as caller
            where proc.proname in ('retire_jobs', 'move_job')
            union all
            select 7, format('role %s does not exist', $1) where not exists (select from pg_roles where rolname = $1)
            union all
            select 7, format('role %s is a superuser', $1) from pg_roles where rolname = $1 and rolsuper
            union all
            select 7, format('role %s may act as %s, which owns the ledger', $1, pg_get_userbyid(schema.owner))
            from schema
            join pg_roles as service on service.rolname = $1
            where not service.rolsuper and pg_has_role(service.oid, schema.owner, 'MEMBER')
            union all
            select 8, format(
                '%s belongs to %s and the schema to %s', stored.relname, pg_get_userbyid(stored.relowner),
                pg_get_userbyid(schema.owner)
            )
            from (select relname, relowner from stored union select relname, relowner from event) as stored
            cross join schema
            where stored.relowner <> schema.owner
            union all
            select 8, format(
                'function %s belongs to %s and the schema to %s', proc.proname, pg_get_userbyid(proc.proowner),
                pg_get_userbyid(schema.owner)
            )
            from pg_proc as proc
            join schema on proc.pronamespace = schema.oid
            where proc.proowner <> schema.owner
            union all
            select 9, format('%s has a rule, %s', kept.relname, rule.rulename)
            from kept join pg_rewrite as rule on rule.ev_class = kept.oid
            union all
            select 9, format('%s hides rows (row level security)', kept.relname) from kept where kept.relrowsecurity
            union all
            select 9, format('%s is unlogged: a crash empties it', kept.relname)
            from kept where kept.relpersistence <> 'p'
            union all
            select 10, format(
                'role %s lacks %s on %s', $1, required.privilege,
                stored.relname || coalesce(' (' || required.column || ')', '')
            )
            from unnest($3::text[], $4::text[], $5::text[]) as required ("table", "column", privilege)
            join stored on stored.relname = required.table
            join pg_roles as service on service.rolname = $1
            where case
                when required.column is null then not has_table_privilege(service.oid, stored.oid, required.privilege)
                else not has_column_privilege(service.oid, stored.oid, required.column, required.privilege)
            end
            union all
            select 10, format('role %s may not use the schema', $1)
            from schema join pg_roles as service on service.rolname = $1
            where not has_schema_privilege(service.oid, schema.oid, 'usage')
            union all
            select 10, format('role %s may not call %s', $1, required)
            from unnest($6::text[]) as required
            join pg_roles as service on service.rolname = $1
            where not exists (
                select from pg_proc as proc
                join schema on proc.pronamespace = schema.oid
                where proc.proname = split_part(required, '(', 1)
                    and has_function_privilege(service.oid, proc.oid, 'execute')
            )
        )
        select sentence from (select distinct place, sentence from fault) as found
        where exists (select from schema)
        order by place, sentence
        limit $8
        """
}
