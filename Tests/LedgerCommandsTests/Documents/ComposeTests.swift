import ArgumentParser
import Foundation
import Testing

@testable import LedgerCommands

/// Compares the file with the program, because no container engine runs the tests.
///
/// `Scripts/test-compose` checks it with Docker Compose.
@Suite("docker-compose.yml and its image")
struct ComposeTests {
    private struct Compose: Decodable {
        struct Service: Decodable {
            struct Build: Decodable {
                let context: String
                let dockerfile: String
            }

            struct Condition: Decodable { let condition: String }
            struct HealthCheck: Decodable { let test: [String] }
            struct Deploy: Decodable { let replicas: Int }

            let image: String?
            let build: Build?
            let command: [String]?
            let environment: [String: String]?
            let dependsOn: [String: Condition]?
            let healthcheck: HealthCheck?
            let ports: [String]?
            let volumes: [String]?
            let deploy: Deploy?

            enum CodingKeys: String, CodingKey {
                case image, build, command, environment, healthcheck, ports, volumes, deploy
                case dependsOn = "depends_on"
            }
        }

        let services: [String: Service]
        let volumes: [String: [String: String]?]
    }

    /// Reads the file with Python's YAML, merged keys included.
    private static func compose() async throws -> Compose {
        let program = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)"
        let script =
            #"for python in /usr/bin/python3 python3; do "$python" -c 'import yaml' 2>/dev/null && exec "$python" -c "$0" "$1"; done; exit 1"#
        let run = try await CommandRun.run(
            "/bin/bash", ["-c", script, program, "\(projectFolder)/docker-compose.yml"])
        try #require(run.status == 0, "Cannot read YAML: run Scripts/setup. \(run.errors)")
        return try JSONDecoder().decode(Compose.self, from: Data(run.output.utf8))
    }

    @Test("the services are PostgreSQL, a migration, one server and two workers, in this order")
    func servicesAreDefined() async throws {
        let services = try await Self.compose().services
        #expect(services.keys.sorted() == ["migrate", "postgres", "server", "worker"])
        #expect(services["worker"]?.deploy?.replicas == 2)
        #expect(services["migrate"]?.dependsOn?["postgres"]?.condition == "service_healthy")
        for name in ["server", "worker"] {
            #expect(services[name]?.dependsOn?["migrate"]?.condition == "service_completed_successfully")
        }
        for service in services.values {
            for dependency in service.dependsOn?.keys.sorted() ?? [] { #expect(services[dependency] != nil) }
        }
    }

    @Test("commands and health checks are valid commands of this program")
    func commandsAreValid() async throws {
        let services = try await Self.compose().services
        for (name, expected) in [
            ("migrate", MigrateCommand.self), ("server", ServeCommand.self), ("worker", ProjectCommand.self),
        ]
            as [(String, any ParsableCommand.Type)]
        {
            let command = try ProgressLedgerCommand.parseAsRoot(#require(services[name]?.command))
            #expect(type(of: command) == expected)
        }
        let server = try #require(
            try ProgressLedgerCommand.parseAsRoot(#require(services["server"]?.command)) as? ServeCommand)
        #expect(server.insecureNoAuthentication && server.noProjection)
        let check = try #require(services["worker"]?.healthcheck?.test)
        #expect(check.prefix(2) == ["CMD", "progress-ledger"])
        #expect(try ProgressLedgerCommand.parseAsRoot(Array(check.dropFirst(2))) is MigrateCommand)
        #expect(services["server"]?.healthcheck?.test.last == "http://127.0.0.1:\(server.port ?? "8080")/readyz")
    }

    @Test("PostgreSQL has a fixed major version, and a volume in the folder of that version's image")
    func versionIsFixed() async throws {
        let postgres = try #require(try await Self.compose().services["postgres"])
        let version = try #require(postgres.image?.wholeMatch(of: /postgres:(1[4-8])-[a-z]+/)?.1, "\(postgres)")
        let folder = try #require(postgres.volumes?.first?.split(separator: ":").last)
        // Since version 18 the image keeps the data of each major version in a folder of its own.
        #expect(folder == (version < "18" ? "/var/lib/postgresql/data" : "/var/lib/postgresql"))
    }

    @Test("ports are local, secrets come from the environment, and data are kept in a volume")
    func defaultsAreSafe() async throws {
        let compose = try await Self.compose()
        #expect(compose.services["server"]?.ports == ["127.0.0.1:8080:8080"])
        #expect(compose.services["postgres"]?.ports == nil)
        for (name, service) in compose.services {
            for (variable, value) in service.environment ?? [:] where variable.contains("PASSWORD") {
                #expect(value.hasPrefix("${POSTGRES_PASSWORD:?"), "\(name): \(variable)")
            }
            for (variable, _) in service.environment ?? [:] where variable.hasPrefix("PROGRESS_LEDGER_") {
                #expect(Setting(rawValue: variable) != nil, "\(variable)")
            }
        }
        let volume = try #require(compose.services["postgres"]?.volumes?.first)
        #expect(compose.volumes.keys.contains { volume.hasPrefix("\($0):/var/lib/postgresql") })
    }

    @Test("the image is built from existing files and runs the program without privileges")
    func imageIsBuilt() async throws {
        let services = try await Self.compose().services
        for name in ["migrate", "server", "worker"] {
            #expect(services[name]?.build?.dockerfile == "Scripts/Dockerfile")
        }
        let lines = try String(contentsOfFile: "\(projectFolder)/Scripts/Dockerfile", encoding: .utf8)
            .split(separator: "\n").map(String.init)
        for line in lines where line.hasPrefix("COPY ") && !line.contains("--from") {
            let source = String(line.split(separator: " ")[1])
            #expect(FileManager.default.fileExists(atPath: "\(projectFolder)/\(source)"), "\(line)")
        }
        #expect(lines.contains(#"ENTRYPOINT ["progress-ledger"]"#))
        #expect(lines.contains("USER progress-ledger"))
    }
}
