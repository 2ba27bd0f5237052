internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes that create, list and revoke tokens.
struct TokenRoutes: Sendable {
    private let service: any LedgerService
    private let control: AccessControl

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        control = dependencies.control
    }

    var routes: [Route] {
        [
            Route(
                access: .jobs(.admin), method: .post, path: "/v1/tokens", operation: "createToken",
                summary: "Creates a token, whose text is returned only here",
                body: Route.Body(schema: "TokenRequest", takesLines: false),
                responses: [
                    Route.ResponseSpec(status: 201, description: "The token", schema: "IssuedToken"),
                    .problem(403, "The token would permit more than its creator's"),
                    .problem(409, "A token has or had this name"), .problem(422, "The request is invalid"),
                ], hasLocation: true, handle: create),
            Route(
                access: .jobs(.admin), method: .get, path: "/v1/tokens", operation: "listTokens",
                summary: "All tokens in the order of creation, with those that have expired or were revoked",
                responses: [Route.ResponseSpec(status: 200, description: "The tokens", schema: "Tokens")],
                handle: list),
            Route(
                access: .jobs(.admin), method: .delete, path: "/v1/tokens/{token}", operation: "revokeToken",
                summary: "Revokes a token for ever, within two seconds on all servers",
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The token, which stays in the list", schema: "Token"),
                    .problem(404, "No such token"),
                ], handle: revoke),
        ]
    }

    private func create(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        guard control.isRequired else {
            throw HTTPProblem(
                .forbidden, "No token yet",
                "The ledger has no token, so everybody who reaches this server would be its administrator. Create the "
                    + "first one with access to the database: progress-ledger token create NAME --scope admin --direct."
            )
        }
        var description = try await request.read { body, _ throws(RequestError) in
            try TokenRequest.description(body, at: .now)
        }
        // As with jobs, the tags of the creator's confinement need not be repeated.
        description.confinement.tags.merge(request.access.confinement.tags) { given, _ in given }
        let expiry = control.expiry(of: request.access)
        description.expiresAt = description.expiresAt ?? expiry
        guard description.isWithin(request.access), expiry.map({ (description.expiresAt ?? .latest) <= $0 }) ?? true
        else {
            throw HTTPProblem(
                .forbidden, "Token exceeds its creator's",
                "A token can permit only what the token of its creator permits: no other scopes, no other jobs, and no "
                    + "longer."
            ).refusing(.scope, by: request.access)
        }
        if let job = description.confinement.job { try await require(job, request.access) }
        let (token, text) = try await service.createToken(description, by: request.access.reporter)
        return .json(.created, headers: [.location: "/v1/tokens/\(token.id)", .cacheControl: "no-store"]) {
            token.write(to: &$0, now: .now, text: text)
        }
    }

    /// Refuses the token of an unknown job.
    ///
    /// A job outside of the creator's confinement is unknown too.
    private func require(_ job: JobID, _ access: Access) async throws {
        guard let view = try await service.job(job), access.confinement.includes(job, tags: view.description.tags)
        else {
            throw RequestError.invalid([FieldError(pointer: "/job", detail: "there is no job \(job)")])
        }
    }

    private func list(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let tokens = try await service.listTokens(within: request.access.confinement)
        return .json { writer in
            writer.object { writer in
                writer.name("tokens")
                writer.array(tokens) { $1.write(to: &$0, now: .now) }
            }
        }
    }

    private func revoke(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let text = request.pathID ?? ""
        guard let id = AccessToken.ID(text),
            let token = try await service.revokeToken(id, within: request.access.confinement)
        else {
            // A whole token in the path would otherwise be repeated in the response and in logs.
            throw HTTPProblem(.notFound, "No such token", "There is no token with this id. See /v1/tokens.")
        }
        return .json { token.write(to: &$0, now: .now) }
    }
}
