import Foundation
import PackagePlugin

/// A build plugin that embeds files into the target that uses it.
///
/// It embeds the SQL files of the top-level `Schema/` folder and the files for browsers, so that the program is a
/// single file. The next build takes up added, edited and removed files.
@main
struct EmbedFiles: BuildToolPlugin {
    /// The files that a target embeds.
    struct Selection {
        /// The folder, relative to the package's folder.
        let folder: String
        let extensions: Set<String>
        /// The type that gets a static property `embedded` with the names and texts.
        let type: String
    }

    /// The selections by the target's name.
    static let selections = [
        "LedgerSchema": Selection(folder: "Schema/migrations", extensions: ["sql"], type: "Migration"),
        "LedgerHTTP": Selection(
            folder: "Sources/LedgerHTTP/Pages/Files", extensions: ["html", "css", "js"], type: "PageFile"),
    ]

    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        guard let selection = Self.selections[target.name] else {
            Diagnostics.error("EmbedFiles has no selection of files for the target \(target.name)")
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
