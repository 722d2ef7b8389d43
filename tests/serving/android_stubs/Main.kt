/* For each `WIDTHxHEIGHT` a photo whose left half is black and whose right half is white, through the detector. */
import android.graphics.Bitmap
import android.graphics.Color
import java.io.File
import org.example.fsaf.FsafDetector

fun main(arguments: Array<String>) {
    val model = File(arguments[0])
    for (size in arguments.drop(1)) {
        val (width, height) = size.split("x").map { it.toInt() }
        val pixels = IntArray(width * height) { if (it % width < width / 2) Color.rgb(0, 0, 0) else Color.rgb(255, 255, 255) }
        FsafDetector(model).use { detector ->
            for (found in detector.detect(Bitmap(width, height, pixels))) {
                val box = found.box
                println("$size ${found.name} ${found.score} ${box.top} ${box.left} ${box.bottom} ${box.right}")
            }
        }
        File("${model.path}.input").renameTo(File("${model.path}.$size"))
    }
}
