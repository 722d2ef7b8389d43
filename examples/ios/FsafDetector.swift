import TensorFlowLite
import UIKit

/// The input of a file, its `canvas.json`: how a photo lies on it, and how boxes come back.
struct FsafCanvas: Codable {
    let height: Int
    let width: Int
    let keepAspect: Bool
    let shorterSide: Int
    let longerSide: Int
    let padding: [Int]  // red, green, blue

    /// The size in pixels that a photo gets. It lies in the upper left corner.
    func size(of photo: CGSize) -> CGSize {
        if !keepAspect { return CGSize(width: width, height: height) }
        let shorter = Float(min(photo.width, photo.height))
        let longer = Float(max(photo.width, photo.height))
        let scale = min(Float(shorterSide) / shorter, Float(longerSide) / longer)
        let rows = Double(max((Float(photo.height) * scale).rounded(.toNearestOrEven), 1))
        let columns = Double(max((Float(photo.width) * scale).rounded(.toNearestOrEven), 1))
        let shrink = min(1, Double(height) / rows, Double(width) / columns)
        return CGSize(
            width: max((columns * shrink).rounded(.toNearestOrEven), 1),
            height: max((rows * shrink).rounded(.toNearestOrEven), 1))
    }

    /// A box in shares of the input (top, left, bottom, right) on the photo; nil if it is all in the padding.
    func toPhoto(_ shares: [Float], _ photo: CGSize) -> CGRect? {
        let fitted = size(of: photo)
        let down = photo.height / fitted.height * CGFloat(height)
        let across = photo.width / fitted.width * CGFloat(width)
        let top = CGFloat(shares[0]) * down, left = CGFloat(shares[1]) * across
        let bottom = CGFloat(shares[2]) * down, right = CGFloat(shares[3]) * across
        let box = CGRect(x: left, y: top, width: right - left, height: bottom - top)
            .intersection(CGRect(origin: .zero, size: photo))
        return box.isEmpty ? nil : box
    }

    /// The input: RGB, a byte each, row by row; the photo in its upper left corner, the rest in the colour of the padding.
    func pad(_ photo: UIImage) -> Data {
        let bitmap = CGContext(
            data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width,
            space: CGColorSpace(name: CGColorSpace.sRGB)!, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)!
        bitmap.translateBy(x: 0, y: CGFloat(height))
        bitmap.scaleBy(x: 1, y: -1)  // UIKit's rows begin at the top
        UIGraphicsPushContext(bitmap)
        let colour = padding.map { CGFloat($0) / 255 }
        UIColor(red: colour[0], green: colour[1], blue: colour[2], alpha: 1).setFill()
        bitmap.fill(CGRect(x: 0, y: 0, width: width, height: height))
        bitmap.interpolationQuality = .medium
        photo.draw(in: CGRect(origin: .zero, size: size(of: pixels(of: photo))))
        UIGraphicsPopContext()
        let bytes = UnsafeRawBufferPointer(start: bitmap.data!, count: 4 * height * width)
        return Data(bytes.enumerated().filter { $0.offset % 4 != 3 }.map { $0.element })
    }
}

/// Width and height in pixels of a photo as it is seen.
func pixels(of photo: UIImage) -> CGSize {
    CGSize(width: photo.size.width * photo.scale, height: photo.size.height * photo.scale)
}

struct Detection {
    let box: CGRect  // in pixels of the photo as it is seen
    let name: String
    let score: Float
}

/// A file of `export --format=tflite`, with `canvas.json` and `labels.txt` beside it in the bundle.
final class FsafDetector {
    private let canvas: FsafCanvas
    private let names: [String]
    private let interpreter: Interpreter

    init(model: URL, threads: Int = 4) throws {
        let folder = model.deletingLastPathComponent()
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        canvas = try decoder.decode(
            FsafCanvas.self, from: Data(contentsOf: folder.appendingPathComponent("canvas.json")))
        names = try String(contentsOf: folder.appendingPathComponent("labels.txt"), encoding: .utf8)
            .split(separator: "\n").map(String.init)
        var options = Interpreter.Options()
        options.threadCount = threads
        interpreter = try Interpreter(modelPath: model.path, options: options)
        try interpreter.allocateTensors()
    }

    /// The detections in a photo, by falling score.
    func detect(_ photo: UIImage, leastScore: Float = 0.3) throws -> [Detection] {
        try interpreter.copy(canvas.pad(photo), toInputAt: 0)
        try interpreter.invoke()
        let outputs = try (0..<4).map { index in
            try interpreter.output(at: index).data.withUnsafeBytes { Array($0.bindMemory(to: Float32.self)) }
        }
        let size = pixels(of: photo)
        return (0..<Int(outputs[3][0])).filter { outputs[2][$0] >= leastScore }.compactMap { row in
            let shares = Array(outputs[0][4 * row..<4 * row + 4])
            guard let box = canvas.toPhoto(shares, size) else { return nil }
            return Detection(box: box, name: names[Int(outputs[1][row])], score: outputs[2][row])
        }
    }
}
