package org.example.fsaf

import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.core.RunningMode
import com.google.mediapipe.tasks.vision.objectdetector.ObjectDetector
import java.io.File

/** The same file by MediaPipe, which stretches pictures to the input: so it is given padded ones. */
class MediaPipeDetector(context: Context, model: File, leastScore: Float = 0.3f) : AutoCloseable {
    private val canvas = FsafMetadata(model).canvas
    private val detector = ObjectDetector.createFromOptions(
        context,
        ObjectDetector.ObjectDetectorOptions.builder()
            .setBaseOptions(BaseOptions.builder().setModelAssetPath(model.path).build())
            .setRunningMode(RunningMode.IMAGE)
            .setScoreThreshold(leastScore)
            .build(),
    )

    /** The detections in a photo that stands upright, by falling score. */
    fun detect(photo: Bitmap): List<Detection> {
        val size = Size(photo.height, photo.width)
        val found = detector.detect(BitmapImageBuilder(canvas.pad(photo)).build())
        return found.detections().mapNotNull { each ->
            val (box, category) = each.boundingBox() to each.categories()[0]
            val shares = floatArrayOf(
                box.top / canvas.height, box.left / canvas.width, box.bottom / canvas.height, box.right / canvas.width)
            canvas.toPhoto(shares, size)?.let { Detection(it, category.categoryName(), category.score()) }
        }
    }

    override fun close() = detector.close()
}
