// swift-tools-version:6.2
import PackageDescription

// The version of the server and of its clients, which are released together. Everything else takes it from this line.
let version = "0.1.0"

// A release build (Scripts/release) gives its Git commit. The manifest's own cache notices a change of the variable.
let build = Context.environment["PROGRESS_LEDGER_BUILD"] ?? "development"

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "progress-ledger",
    products: [
        .executable(name: "progress-ledger", targets: ["progress-ledger"]),
        .library(name: "ProgressLedgerClient", targets: ["ProgressLedgerClient"]),
    ],
    traits: [
        .default(enabledTraits: ["TLS"]),
        .trait(name: "TLS", description: "The client speaks https. Without it, it builds no BoringSSL."),
    ],
    // Ranges, for programs that import the client. Scripts/packaging/dependencies.json pins the versions for all builds
    // of this project, and those of indirect dependencies.
    dependencies: [
        // HTTP server: routing, streaming bodies, graceful shutdown. The default traits are off, because they add a
        // configuration library and all of Foundation. About three minutes of a first build.
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        // HTTP/1.1 for the Swift client. A dependency of Hummingbird: no additional build time.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // TLS of the server and of the client. About two minutes of a first build.
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        // HTTP/2. A dependency of Hummingbird.
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        // Services that start in order and stop in reverse order on SIGTERM. A dependency of Hummingbird.
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        // Structured logging. A dependency of Hummingbird.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // Spans for an embedder's tracing backend. A dependency of Hummingbird: no additional build time.
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        // Queues that remove their first element in constant time: the product DequeModule. NIO and Hummingbird build
        // it: no additional build time.
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        // Subcommands, flags and help. About twenty seconds of a first build.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // HTTP/1.1 with TLS for notifications, to addresses that the caller chooses. A dependency of Hummingbird, but
        // not built for it: about a minute of a first build.
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0", traits: []),
        // SHA-256 for the hash chain, Ed25519 for anchors. About a minute of a first build.
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        // Protocol Buffers, for Tilebox's SDK. The default traits are off, because they add all of Foundation. About a
        // minute of a first build.
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    ],
    targets: [
        // Layer 0
        .target(name: "AsyncPrimitives", swiftSettings: settings),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CSpawn"),
        .target(
            name: "CVersion",
            cSettings: [
                .define("PROGRESS_LEDGER_VERSION", to: "\"\(version)\""),
                .define("PROGRESS_LEDGER_BUILD", to: "\"\(build)\""),
            ]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "Ledger", swiftSettings: settings),
        .executableTarget(name: "embed-files", path: "Sources/EmbedFiles/Tool", swiftSettings: settings),
        .plugin(
            name: "EmbedFiles", capability: .buildTool(), dependencies: ["embed-files"],
            path: "Sources/EmbedFiles/Plugin"),
        .target(name: "LedgerSchema", swiftSettings: settings, plugins: ["EmbedFiles"]),

        // Layer 1
        .target(
            name: "PQ",
            dependencies: [
                "AsyncPrimitives", "CLibPQ", .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings + [.strictMemorySafety()]
        ),
        .target(name: "LedgerWire", dependencies: ["Ledger"], swiftSettings: settings),
        .target(
            name: "LedgerTilebox",
            dependencies: ["CZlib", "Ledger", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            // Scripts/generate-protobuf makes the folder Generated from these files.
            exclude: ["Protocol"], swiftSettings: settings),
        // Separate from Ledger, so that a program that imports the client does not build BoringSSL for SHA-256.
        .target(
            name: "LedgerChain", dependencies: ["Ledger", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: settings),

        // Layer 2
        .target(
            name: "LedgerStore",
            dependencies: [
                "AsyncPrimitives", "CSpawn", "Ledger", "LedgerChain", "LedgerSchema", "LedgerWire", "PQ",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "ProgressLedgerClient",
            dependencies: [
                "AsyncPrimitives", "Ledger", "LedgerWire",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["TLS"])),
                .product(name: "NIOTLS", package: "swift-nio", condition: .when(traits: ["TLS"])),
            ],
            swiftSettings: settings
        ),

        // Layer 3
        .target(
            name: "LedgerJWT",
            dependencies: [
                "Ledger", "LedgerWire", "ProgressLedgerClient",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "LedgerProjection",
            dependencies: [
                "AsyncPrimitives", "Ledger", "LedgerStore", "PQ",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "LedgerNotifications",
            dependencies: [
                "AsyncPrimitives", "Ledger", "LedgerStore", "LedgerWire", "PQ",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "LedgerHTTP",
            dependencies: [
                "AsyncPrimitives", "CVersion", "CZlib", "Ledger", "LedgerJWT", "LedgerStore", "LedgerTilebox",
                "LedgerWire",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP2", package: "swift-nio-extras"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            // The plugin EmbedFiles embeds these files.
            exclude: ["Pages/Files"],
            swiftSettings: settings,
            plugins: ["EmbedFiles"]
        ),

        .target(
            name: "LedgerBenchmark",
            dependencies: [
                "Ledger", "LedgerStore", "PQ",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings
        ),

        // Layer 4
        .target(
            name: "LedgerCommands",
            dependencies: [
                "CSpawn", "Ledger", "LedgerBenchmark", "LedgerChain", "LedgerHTTP", "LedgerJWT", "LedgerNotifications",
                "LedgerProjection", "LedgerStore", "LedgerWire", "PQ", "ProgressLedgerClient",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),

        // Layer 5
        .executableTarget(name: "progress-ledger", dependencies: ["LedgerCommands"], swiftSettings: settings),

        // Outside of the layers
        .executableTarget(
            name: "progress-ledger-examples", dependencies: ["ProgressLedgerClient"],
            path: "Sources/swift-examples", swiftSettings: settings),
        .target(
            name: "LedgerTestSupport",
            dependencies: [
                "Ledger", "LedgerChain", "LedgerJWT", "LedgerProjection", "LedgerStore", "PQ",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "AsyncPrimitivesTests", dependencies: ["AsyncPrimitives"], swiftSettings: settings),
        .testTarget(
            name: "LedgerTests", dependencies: ["Ledger", "LedgerChain", "LedgerTestSupport"], swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "Ledger", "LedgerChain", "LedgerStore", "LedgerTestSupport", "LedgerWire", "PQ", "ProgressLedgerClient",
                "progress-ledger", "progress-ledger-examples", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LedgerHTTPTests",
            dependencies: [
                "Ledger", "LedgerHTTP", "LedgerStore", "LedgerTestSupport", "LedgerTilebox", "LedgerWire",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LedgerJWTTests",
            dependencies: [
                "Ledger", "LedgerJWT", "LedgerTestSupport", "LedgerWire",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LedgerNotificationsTests",
            dependencies: [
                "Ledger", "LedgerNotifications", "LedgerProjection", "LedgerStore", "LedgerTestSupport", "LedgerWire",
                "PQ",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LedgerStoreTests",
            dependencies: [
                "AsyncPrimitives", "Ledger", "LedgerChain", "LedgerProjection", "LedgerSchema", "LedgerStore",
                "LedgerTestSupport", "PQ",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LedgerTileboxTests",
            dependencies: [
                "CZlib", "Ledger", "LedgerTilebox", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LedgerWireTests",
            dependencies: ["Ledger", "LedgerTestSupport", "LedgerWire"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "PQTests",
            dependencies: ["LedgerTestSupport", "PQ", .product(name: "Logging", package: "swift-log")],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ProgressLedgerClientTests",
            dependencies: [
                "Ledger", "LedgerTestSupport", "LedgerWire", "ProgressLedgerClient",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LedgerBenchmarkTests", dependencies: ["Ledger", "LedgerBenchmark"], swiftSettings: settings),
        .testTarget(
            name: "LedgerCommandsTests",
            dependencies: [
                "Ledger", "LedgerCommands", "LedgerStore", "LedgerTestSupport", "LedgerWire", "PQ",
                "ProgressLedgerClient",
                "progress-ledger",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
    ],
    swiftLanguageModes: [.v6]
)
