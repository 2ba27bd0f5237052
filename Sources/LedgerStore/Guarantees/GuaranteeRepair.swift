internal import PQ

/// Restores the ``Guarantees``. For the owner of the schema; safe to repeat.
///
/// It does not change anything that a person must decide: other owners, rules, row level security, unlogged tables, and
/// roles that may act as others. The next check reports them again.
enum GuaranteeRepair {
    /// The statements, for one transaction.
    static var statements: [Query] {
        var sql = [
            """
            create or replace function ledger.refuse_change() returns trigger
                language plpgsql
                set search_path = pg_catalog, pg_temp
            as $body$\(Guarantees.refusalBody)$body$
            """
        ]
        sql += Guarantees.eventRefusals.map { triggers($0, on: "event") }
        sql += [
            triggers(Guarantees.jobRefusal, on: "job"), triggers(Guarantees.jobDeletion, on: "job"),
            triggers(Guarantees.headRefusal, on: "job_head"), triggers(Guarantees.headDeletion, on: "job_head"),
            triggers(Guarantees.retirementRefusal, on: "retirement"), retiredHead,
        ]
        sql.append(revoking)
        sql.append("grant usage on schema ledger to \(Guarantees.serviceRole)")
        for grant in Guarantees.grants {
            let columns = grant.columns.isEmpty ? "" : " (\(grant.columns.joined(separator: ", ")))"
            let tables = grant.tables.map { "ledger.\($0)" }.joined(separator: ", ")
            sql.append("grant \(grant.privilege)\(columns) on \(tables) to \(Guarantees.serviceRole)")
        }
        let functions = Guarantees.functions.map { "ledger.\($0)" }.joined(separator: ", ")
        sql.append("revoke all on function \(functions) from public")
        sql.append("grant execute on function \(functions) to \(Guarantees.serviceRole)")
        sql.append(
            "revoke all on function ledger.\(Guarantees.retirement), ledger.\(Guarantees.move) "
                + "from public, \(Guarantees.serviceRole)")
        return sql.map { Query($0, prepare: false) }
    }

    /// Creates a missing or replaced trigger and enables it in every mode.
    ///
    /// PostgreSQL copies row triggers to the partitions, but not statement triggers.
    private static func triggers(_ refusal: Guarantees.Refusal, on table: String) -> String {
        let level = refusal.isForEachRow ? "row" : "statement"
        return """
            do $$
            declare
                part regclass;
            begin
                for part in
                    select tree.relid from pg_partition_tree('ledger.\(table)') as tree
                    where tree.level = 0 or not \(refusal.isForEachRow)
                    union
                    select 'ledger.\(table)'::regclass
                loop
                    continue when exists (
                        select from pg_trigger
                        where tgrelid = part and tgfoid = 'ledger.refuse_change'::regproc
                            and tgtype = \(refusal.type) and tgqual is null and tgattr::text = ''
                    );
                    execute format('drop trigger if exists \(refusal.name) on %s', part);
                    execute format(
                        'create trigger \(refusal.name) before \(refusal.events) on %s
                            for each \(level) execute function ledger.refuse_change()',
                        part
                    );
                end loop;
                for part in
                    select tree.relid from pg_partition_tree('ledger.\(table)') as tree
                    union
                    select 'ledger.\(table)'::regclass
                loop
                    execute (
                        select coalesce(
                            string_agg(
                                format('alter table %s enable always trigger %I', part, trigger.tgname), '; '
                            ), 'select'
                        )
                        from pg_trigger as trigger
                        where trigger.tgrelid = part and trigger.tgfoid = 'ledger.refuse_change'::regproc
                            and trigger.tgenabled <> 'A'
                    );
                end loop;
            end
            $$
            """
    }

    /// Restores the constraint by which the head of a retired job cannot move.
    private static let retiredHead = """
        do $$
        begin
            if not exists (
                select from pg_constraint
                where conrelid = 'ledger.job_head'::regclass and conname = '\(Guarantees.retiredHead)' and contype = 'c'
                    and convalidated and pg_get_constraintdef(oid) = 'CHECK ((retired_hash = hash))'
            ) then
                alter table ledger.job_head drop constraint if exists \(Guarantees.retiredHead);
                alter table ledger.job_head add constraint \(Guarantees.retiredHead) check (retired_hash = hash);
            end if;
        end
        $$
        """

    /// Revokes privileges that only the owner may have.
    private static let revoking = """
        do $$
        declare
            given record;
        begin
            for given in
                select distinct
                    class.oid::regclass as relation,
                    case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end as grantee
                from pg_class as class
                cross join lateral (
                    select acl.* from aclexplode(class.relacl) as acl
                    union all
                    select acl.* from pg_attribute as attribute
                    cross join lateral aclexplode(attribute.attacl) as acl
                    where attribute.attrelid = class.oid
                ) as acl
                where acl.grantee <> class.relowner
                    and class.oid in (
                        select tree.relid from pg_partition_tree('ledger.event') as tree
                        union all
                        select unnest(array['ledger.job', 'ledger.job_head', 'ledger.retirement']::regclass[])
                    )
            loop
                execute format(
                    'revoke update, delete, truncate, trigger on %s from %s cascade', given.relation, given.grantee
                );
                continue when given.relation <> 'ledger.retirement'::regclass;
                execute format('revoke insert on ledger.retirement from %s cascade', given.grantee);
            end loop;
        end
        $$
        """
}
