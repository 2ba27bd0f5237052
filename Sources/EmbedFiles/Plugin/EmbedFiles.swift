import Foundation
import PackagePlugin

/// Embeds files into the target that uses this plugin, so that the program is one file: the SQL of the top-level
/// `Schema/` folder, and what browsers get.
///
/// A file that is added, edited or removed is picked up by the next build.
@main
struct EmbedFiles: BuildToolPlugin {
    /// What a target embeds.
    struct Selection {
        /// Below the package's folder.
        let folder: String
        let extensions: Set<String>
        /// The type that gets a static property `embedded` with their names and texts.
        let type: String
    }

    /// What each target embeds, by the target's name.
    static let selections = [
        "LedgerSchema": Selection(folder: "Schema/migrations", extensions: ["sql"], type: "Migration"),
        "LedgerHTTP": Selection(
            folder: "Sources/LedgerHTTP/Pages/Files", extensions: ["html", "css", "js"], type: "PageFile"),
    ]

    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        guard let selection = Self.selections[target.name] else {
            Diagnostics.error("EmbedFiles does not know what to embed into \(target.name)")
            return []
        }
        let folder = context.package.directoryURL.appending(path: selection.folder)
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { selection.extensions.contains($0.pathExtension) }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
        let output = context.pluginWorkDirectoryURL.appending(path: "\(selection.type)+Embedded.swift")
        return [
            .buildCommand(
                displayName: "Embedding \(selection.folder)",
                executable: try context.tool(named: "embed-files").url,
                arguments: [output.path, selection.type] + files.map(\.path),
                inputFiles: files,
                outputFiles: [output])
        ]
    }
}
